"""p99 of a merged profile lookup against the p99 of a Redis GET of the finished answer over TCP: 100,000 profiles, a batch version and epochs on top.

The lookup finds the person, merges the tiles of all his nodes (batch ⊕ speed) into 20 traits, seals a receipt and encodes the JSON; Redis returns the
same bytes, finished by somebody beforehand. Both are asked from Python, one request at a time, turn about. bench/run.py calls ``measure``.
"""

import random
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bench.lookup_tables import DEFINITIONS, write_epoch, write_published
from millrace.errors import SetupError
from millrace.local.processes import free_ports, start_process, stop_process
from millrace.tables.delta import TenantTables
from serving.api.server import quiet_pauses
from serving.store.answers import encode_json
from serving.store.store import Store

MUST, AIM = 1.0, 0.7
TENANT = "bench"
PROFILES, EPOCHS, NODES_AN_EPOCH = 100_000, 20, 2_000
LOOKUPS, ROUNDS = 20_000, 5


def measure() -> dict[str, Any]:
    """Ratio of the p99s, median of the rounds, smaller is better; times in microseconds."""
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as port:
        tables = TenantTables(folder, TENANT)
        nodes = write_published(tables, PROFILES)
        rng = np.random.default_rng(11)
        for epoch in range(2, EPOCHS + 2):
            write_epoch(tables, epoch, rng.choice(nodes, NODES_AN_EPOCH).tolist(), rng=rng)
        quiet_pauses()
        started = time.monotonic()
        store = Store(folder, TENANT, DEFINITIONS, secret=b"bench").start()
        try:
            if not store.wait_ready(900):
                raise RuntimeError(f"the store did not open: {store.status().problem}")
            opened_s = time.monotonic() - started
            if (head := store.status().head) != EPOCHS + 1:
                raise RuntimeError(f"the store serves epoch {head} of {EPOCHS + 1}: {store.status().problem}")
            with RedisClient(port) as redis:
                for node in nodes:
                    redis.set(node.encode(), encode_json(store.profile(node)))
                runs = [_round(store, redis, nodes, seed) for seed in range(ROUNDS)]
        finally:
            store.close()
    middle = sorted(runs, key=lambda run: run["ratio"])[ROUNDS // 2]
    figures = {"ratio": middle["ratio"], "value": middle["lookup_us"]["p99"], "baseline": middle["redis_us"]["p99"], "must": MUST, "aim": AIM}
    return figures | {"runs": runs, "profiles": PROFILES, "opened_s": round(opened_s, 1)}


def _round(store: Store, redis: "RedisClient", nodes: list[str], seed: int) -> dict[str, Any]:
    """Both are asked for the same nodes, turn about, so that what else the machine does hits both and neither has the caches to itself."""
    ours: list[int] = []
    theirs: list[int] = []
    for node in random.Random(seed).choices(nodes, k=LOOKUPS):
        theirs.append(_timed(lambda node=node: redis.get(node.encode())))
        ours.append(_timed(lambda node=node: encode_json(store.profile(node))))
    lookup, baseline = _quantiles(ours), _quantiles(theirs)
    return {"ratio": round(lookup["p99"] / baseline["p99"], 3), "lookup_us": lookup, "redis_us": baseline}


def _timed(ask: Callable[[], bytes]) -> int:
    """Nanoseconds of one question."""
    began = time.perf_counter_ns()
    found = ask()
    took = time.perf_counter_ns() - began
    if not found:
        raise RuntimeError("a profile was not found")
    return took


def _quantiles(nanoseconds: list[int]) -> dict[str, float]:
    p50, p99 = (float(np.quantile(nanoseconds, q)) / 1e3 for q in (0.5, 0.99))
    return {"p50": round(p50, 1), "p99": round(p99, 1), "mean": round(statistics.fmean(nanoseconds) / 1e3, 1)}


class RedisClient:
    """GET and SET over one TCP connection, nothing else: faster than a full client, so a baseline that is not flattered."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "RedisClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def get(self, key: bytes) -> bytes:
        self._socket.sendall(b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(key), key))
        answer = self._socket.recv(65536)
        head, _, rest = answer.partition(b"\r\n")
        length = int(head[1:])
        while len(rest) < length + 2:
            rest += self._socket.recv(65536)
        return rest[:length]

    def set(self, key: bytes, value: bytes) -> None:
        self._socket.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(value), value))
        if self._socket.recv(16) != b"+OK\r\n":
            raise RuntimeError("Redis refused a value")

    def hset(self, key: bytes, fields: list[bytes]) -> None:
        """``fields``: name and value, turn about."""
        parts = [b"HSET", key, *fields]
        self._socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))
        if not self._socket.recv(32).startswith(b":"):
            raise RuntimeError("Redis refused a hash")


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """A Redis of its own on a free port, without persistence (Debian's redis-server package)."""
    if shutil.which("redis-server") is None:
        raise SetupError("the baseline needs redis-server: apt-get install redis-server (or the package of that name elsewhere)")
    (port,) = free_ports("127.0.0.1", 1)
    log = (folder / "redis.log").open("wb")
    server = start_process(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], output=log, cwd=folder)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield port
    finally:
        stop_process(server, wait_s=5)
        log.close()


if __name__ == "__main__":
    import json

    print(json.dumps(measure(), indent=1))
