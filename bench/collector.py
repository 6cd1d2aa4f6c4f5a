"""Events per second and core: the collector with durable acknowledgement against a bare Starlette and msgspec endpoint that acknowledges nothing.

Both run as one process each under the same load (keep-alive connections, one request in flight on each); "per core" is events per second of CPU time
of the server process, all its threads, so that the broker and the load generator beside it do not count. bench/run.py calls ``measure``.
"""

import contextlib
import json
import random
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil

from millrace.keys import load_or_create_keys
from millrace.local.broker import Broker

MUST, AIM = 0.25, 0.35
TENANT = "bench"
CONNECTIONS = 32
BODIES = 400
PEOPLE = 10_000
WARM_S, MEASURED_S, ROUNDS = 1.0, 3.0, 5
REPOSITORY = Path(__file__).resolve().parents[1]


def event(dice: random.Random) -> dict[str, object]:
    """A product view as an SDK sends it, about 400 bytes."""
    person = dice.randrange(PEOPLE)
    return {
        "type": "track", "messageId": str(uuid.UUID(int=dice.getrandbits(128))), "userId": f"user-{person}", "anonymousId": f"device-{person}-{dice.randrange(3)}",
        "event": "Product Viewed", "properties": {"product_id": f"sku-{dice.randrange(5000)}", "price": dice.randrange(9999) / 100, "currency": "EUR", "tags": ["a", "b"]},
        "context": {"ip": "192.0.2.7", "library": {"name": "analytics", "version": "4.1"}, "page": {"path": "/p", "title": "Product"}},
        "timestamp": "2026-03-01T10:00:00.123Z",
    }  # fmt: skip


def requests(batch: int, write_key: str) -> list[bytes]:
    """Whole HTTP requests: ``/v1/batch``, or ``/v1/track`` for single events."""
    dice = random.Random(batch)
    path = "track" if batch == 1 else "batch"
    made = []
    for _ in range(BODIES):
        content = event(dice) if batch == 1 else {"batch": [event(dice) for _ in range(batch)]}
        body = json.dumps({**content, "writeKey": write_key}, separators=(",", ":")).encode()
        made.append(f"POST /v1/{path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    return made


def drive(address: tuple[str, int], sent: list[bytes], seconds: float, connections: int = CONNECTIONS) -> tuple[int, float, list[float]]:
    """Keeps every connection busy for that long; answered requests, seconds taken, latencies. Any answer but 200 ends the run."""
    selector = selectors.DefaultSelector()
    began = time.perf_counter()
    started: dict[socket.socket, float] = {}
    turn = answered = 0
    latencies: list[float] = []
    parts: dict[socket.socket, bytes] = {}
    for _ in range(connections):
        connection = socket.create_connection(address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
        started[connection] = time.perf_counter()
        connection.sendall(sent[turn % BODIES])
        turn += 1
    while (now := time.perf_counter()) < began + seconds:
        for key, _ in selector.select(1):
            connection = key.fileobj
            answer = parts.pop(connection, b"") + connection.recv(65536)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"the server answered {answer[:300]!r}")
            if not answer.endswith(b"}"):
                parts[connection] = answer  # head and body may come apart
                continue
            now = time.perf_counter()
            latencies.append(now - started[connection])
            answered += 1
            started[connection] = now
            connection.sendall(sent[turn % BODIES])
            turn += 1
    taken = time.perf_counter() - began
    for connection in started:
        connection.close()
    return answered, taken, latencies


@contextlib.contextmanager
def server(*argv: str) -> Iterator[tuple[psutil.Process, tuple[str, int]]]:
    """A server process of this repository that prints one JSON line with its URL when it listens."""
    process = subprocess.Popen([sys.executable, *argv], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        url = json.loads(process.stdout.readline())["collector"]
        host, _, port = url.removeprefix("http://").rpartition(":")
        yield psutil.Process(process.pid), (host, int(port))
    finally:
        process.terminate()
        process.wait(30)


def wait_until_ready(address: tuple[str, int]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.create_connection(address) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            if connection.recv(4096).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.1)
    raise RuntimeError("the collector did not become ready within 60 s")


def run_once(process: psutil.Process, address: tuple[str, int], batch: int, write_key: str) -> dict[str, float]:
    """One measured stretch: events per second of CPU time and of wall time, latency in milliseconds."""
    sent = requests(batch, write_key)
    drive(address, sent, WARM_S)
    before = process.cpu_times()
    answered, taken, latencies = drive(address, sent, MEASURED_S)
    after = process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    return {
        "per_core": answered * batch / cpu,
        "per_second": answered * batch / taken,
        "cpu_share": cpu / taken,
        "p50_ms": statistics.median(latencies) * 1000,
        "p99_ms": statistics.quantiles(latencies, n=100)[98] * 1000,
    }


def measure() -> dict[str, object]:
    """Ratio of events per core at batches of 20, with the same by wall time and for single events, and the latency of a lone client."""
    runs: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as root, Broker(root) as broker:
        key = load_or_create_keys(root, TENANT).write_key
        collect = ("-m", "jobs.collect_events", "--root", root, "--tenant", TENANT, "--listen", "127.0.0.1:0", "--kafka", broker.bootstrap)
        with server("-m", "bench.bare_endpoint") as bare, server(*collect) as collector:
            wait_until_ready(collector[1])
            for batch in (20, 1):
                for _ in range(ROUNDS):
                    runs.append({"what": "bare", "batch": batch, **run_once(*bare, batch, key)})
                    runs.append({"what": "collector", "batch": batch, **run_once(*collector, batch, key)})
            _, _, alone = drive(collector[1], requests(1, key), MEASURED_S, connections=1)

    def figures(what: str, batch: int, figure: str) -> list[float]:
        return [float(run[figure]) for run in runs if run["what"] == what and run["batch"] == batch]

    def ratio(batch: int, figure: str) -> float:
        """Median over the rounds: both halves of a round met the same machine."""
        return statistics.median(value / bare for value, bare in zip(figures("collector", batch, figure), figures("bare", batch, figure), strict=True))

    return {
        "ratio": ratio(20, "per_core"),
        "baseline": statistics.median(figures("bare", 20, "per_core")),
        "value": statistics.median(figures("collector", 20, "per_core")),
        "must": MUST, "aim": AIM, "unit": "events per second and core, batches of 20",
        "ratio_wall": ratio(20, "per_second"), "ratio_single": ratio(1, "per_core"), "latency_alone_ms": statistics.median(alone) * 1000, "runs": runs,
    }  # fmt: skip


if __name__ == "__main__":
    json.dump(measure(), sys.stdout, indent=1)
