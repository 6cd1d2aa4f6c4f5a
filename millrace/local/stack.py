"""The parts of Millrace on one machine: broker, collector, the one Spark driver, the follower of segments, the watch of data health, API. Addresses in, parts for the supervisor out; jobs/run_local.py calls it."""

import json
import math
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from millrace.local.broker import cluster_at
from millrace.local.processes import free_ports, split_address
from millrace.local.supervisor import START_S, NotReady, Part


@dataclass(frozen=True)
class Addresses:
    """Where the parts listen, as ``host:port``; no port is 0."""

    kafka: str
    collector: str
    api: str


def choose_addresses(*, collector: str, api: str, kafka: str = "127.0.0.1:0") -> Addresses:
    """The wished addresses with a free port in place of each 0, so that a restarted part comes back where it was."""
    wished = [split_address(text) for text in (kafka, collector, api)]
    free = free_ports("127.0.0.1", len(wished))
    return Addresses(*(f"{host}:{port or other}" for (host, port), other in zip(wished, free, strict=True)))


def local_parts(root: Path, tenant: str, *, definitions: Path, batch_every: str, addresses: Addresses) -> list[Part]:
    """All parts, the broker first; everything else waits for it. Driver and API may take as long as the data needs: the log is read, a batch version opened or built."""
    where = ["--root", str(root), "--tenant", tenant]
    kafka = ["--kafka", addresses.kafka]
    rules = ["--definitions", str(definitions)]
    ready_file = root / tenant / "checkpoints" / "driver.ready"
    return [
        _part("broker", ["run_broker", "--root", str(root), *kafka], lambda _: cluster_at(addresses.kafka) is not None),
        _part("collector", ["collect_events", *where, "--listen", addresses.collector, *kafka, *rules], _answers(addresses.collector), needs=("broker",)),
        _part("driver", ["stream_events", *where, *kafka, *rules, "--with-batch", "--batch-every", batch_every], _holds_pid(ready_file), needs=("broker",), start_s=math.inf),
        _part("segments", ["follow_segments", *where, *kafka, *rules], _holds_pid(root / tenant / "segments" / "ready"), needs=("broker",), start_s=math.inf),
        _part("health", ["watch_data_health", *where, *kafka, *rules], _holds_pid(root / tenant / "data_health" / "ready"), needs=("broker",), start_s=math.inf),
        _part("api", ["serve_profiles", *where, *rules, "--listen", addresses.api], _answers(addresses.api), needs=("broker",), start_s=math.inf),
    ]


def _part(name: str, command: list[str], ready: Callable[[int], bool], *, needs: tuple[str, ...] = (), start_s: float = START_S) -> Part:
    job, *options = command
    return Part(name, (sys.executable, "-m", f"jobs.{job}", *options), ready, env={"PYTHONUNBUFFERED": "1"}, needs=needs, start_s=start_s)


def _answers(address: str) -> Callable[[int], bool]:
    def ready(pid: int) -> bool:
        try:
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=2) as response:
                return response.status == 200
        except urllib.error.HTTPError as answer:  # it listens and says: not yet
            raise NotReady(_reason(answer.read())) from None

    return ready


def _reason(body: bytes) -> str:
    """The reason a part gives with its 503; empty when it gives none."""
    try:
        return json.loads(body).get("problem") or ""
    except (ValueError, AttributeError):
        return ""


def _holds_pid(path: Path) -> Callable[[int], bool]:
    """The file names the process that is ready; one left by an earlier process does not count."""

    def ready(pid: int) -> bool:
        found = re.search(r"\d+", path.read_text(encoding="utf-8"))
        return found is not None and int(found[0]) == pid

    return ready
