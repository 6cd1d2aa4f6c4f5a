"""Segments: from the collector's acknowledgement until the change of a membership is on Kafka, p95 at 500 events/s with 100 segments, ÷ two seconds.

The whole of run_local runs on the machine, with PROFILES people known before. Beside it, how long the same events take until a profile shows them, and how many
clauses one core evaluates in a second. bench/run.py calls ``measure``.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from random import Random
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from bench.freshness import TREE, _basic, _call, _post_steadily
from bench.speed import message
from millrace.definitions import load_definitions
from millrace.segments import compile_segments
from millrace.topics import memberships_topic

MUST, AIM = 1.0, 0.5
TARGET_MS, CLAUSES_AIM = 2_000, 200_000
PROFILES, WARM_S, MEASURED_S = 100_000, 30, 60
DEFINITIONS = TREE / "conf" / "tenants" / "default"


def measure() -> dict[str, Any]:
    """Milliseconds; the runs are the single waits."""
    with tempfile.TemporaryDirectory() as folder:
        directory = declare(Path(folder) / "definitions")
        rate = clauses_per_second(directory)
        told, visible = waits(Path(folder) / "root", directory)
    told.sort()
    p50, p95 = statistics.median(told), told[int(len(told) * 0.95)]
    return {
        "ratio": p95 / TARGET_MS, "value": p95, "baseline": TARGET_MS, "must": MUST, "aim": AIM, "runs": [round(wait, 1) for wait in told],
        "p50": p50, "profile_p50": statistics.median(visible), "clauses_per_second": round(rate), "clauses_aim": CLAUSES_AIM, "profiles": PROFILES,
    }  # fmt: skip


def declare(directory: Path) -> Path:
    """The default definitions with a hundred segments of two to three clauses."""
    directory.mkdir(parents=True)
    for file in DEFINITIONS.glob("*.yml"):
        (directory / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    kinds = (
        lambda n: f"orders_count >= {n + 1} and revenue_total > {100 * n}",
        lambda n: f"spend_30d < 0.{n % 9 + 1} * spend_90d and orders_30d >= {n % 5}",
        lambda n: f"last_store = '{n % 50}' and average_basket >= {20 * n}",
        lambda n: f"last_seen_at > now - {n + 1}d and (events_24h >= {n % 7 + 1} or largest_basket > {50 * n})",
    )
    rules = {f"segment_{n}": kinds[n % 4](n) for n in range(99)} | {"has_ordered": "orders_count >= 1"}
    (directory / "segments.yml").write_text(json.dumps(rules), encoding="utf-8")
    return directory


def clauses_per_second(directory: Path) -> float:
    """Of a second of CPU time, at least: all rules over the values of a thousand people, of each rule one clause counted, since and, or may skip the others."""
    definitions, dice = load_definitions(directory), Random(5)
    rules = compile_segments(definitions)
    now = time.time_ns() // 1000
    people = [{name: dice.randrange(1, 10**11) for name in definitions.views["person"].traits} | {"last_store": str(dice.randrange(50))} for _ in range(1_000)]
    started = time.process_time()
    for values in people:
        for rule in rules:
            rule.holds(values, now)
    return len(rules) * len(people) / (time.process_time() - started)


def waits(root: Path, directory: Path) -> tuple[list[float], list[float]]:
    """Milliseconds from the 200 of the collector to the membership on Kafka, and to the profile, of one probe every half second under load."""
    command = [sys.executable, "-m", "jobs.run_local", "--root", str(root), "--collector", "127.0.0.1:0", "--api", "127.0.0.1:0", "--batch-every", "1h", "--definitions", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TREE, text=True) as system:
        try:
            parts = json.loads(system.stdout.readline())
            _fill(parts, root)
            heard, stop = Heard(parts["kafka"]), threading.Event()
            threads = [threading.Thread(target=_post_steadily, args=(parts, stop)), threading.Thread(target=heard.listen, args=(stop,))]
            for thread in threads:
                thread.start()
            time.sleep(WARM_S)
            probes: list[tuple[str, float, float]] = []
            ends = time.monotonic() + MEASURED_S
            while time.monotonic() < ends:
                probes.append(_probe(parts, f"probe-{len(probes)}"))
                time.sleep(0.5)
            until = time.monotonic() + 30
            while any(person not in heard.at for person, _, _ in probes) and time.monotonic() < until:
                time.sleep(0.1)
            stop.set()
            for thread in threads:
                thread.join()
            told = [(heard.at[person] - sent) * 1000 for person, sent, _ in probes if person in heard.at]
            if len(told) < len(probes):
                raise RuntimeError(f"{len(probes) - len(told)} of {len(probes)} probes were never told")
            return told, [(shown - sent) * 1000 for _, sent, shown in probes]
        finally:
            system.terminate()


class Heard:
    """When a person first entered ``has_ordered``, by the clock of this machine."""

    def __init__(self, bootstrap: str) -> None:
        self.at: dict[str, float] = {}
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=20)
        topic = memberships_topic("default")
        partitions = [TopicPartition(topic, number) for number in sorted(self._consumer.partitions_for_topic(topic) or ())]
        self._consumer.assign(partitions)
        self._consumer.seek_to_end(*partitions)

    def listen(self, stop: threading.Event) -> None:
        while not stop.is_set():
            for records in self._consumer.poll(timeout_ms=50).values():
                now = time.monotonic()
                for record in records:
                    if b'"has_ordered"' in record.value:
                        self.at.setdefault(record.key.decode(), now)
        self._consumer.close()


def _fill(parts: dict[str, str], root: Path) -> None:
    """One order of everybody, then a build, so that they lie in the base."""
    dice = Random(7)
    for start in range(0, PROFILES, 500):
        batch = [message(dice, number) | {"userId": f"user-{number}", "anonymousId": f"device-{number}-0"} for number in range(start, min(start + 500, PROFILES))]
        _call(parts["collector"] + "/v1/batch", {"batch": batch}, _basic(parts["write_key"]))
    _wait(parts, f"user-{PROFILES - 1}")
    _call(parts["api"] + "/v1/batches", {}, f"Bearer {parts['admin_key']}")
    progress, until = root / "default" / "segments" / "progress.json", time.monotonic() + 240
    while time.monotonic() < until:
        told = json.loads(progress.read_text(encoding="utf-8"))
        if told["manifest_id"] == 1 and told["batch"] == told["published"] and told["seen_at"] > time.time_ns() // 1000 - 2_000_000:
            break
        time.sleep(1)


def _wait(parts: dict[str, str], user: str) -> None:
    while _call(f"{parts['api']}/v1/profiles/user_id:{user}", None, f"Bearer {parts['read_key']}") != 200:
        time.sleep(0.2)


def _probe(parts: dict[str, str], user: str) -> tuple[str, float, float]:
    """The person's id, when his first order was acknowledged, and when his profile showed it."""
    event = {"userId": user, "event": "Order Completed", "properties": {"revenue": 1}}
    _call(parts["collector"] + "/v1/track", event, _basic(parts["write_key"]))
    sent = time.monotonic()
    url, headers = f"{parts['api']}/v1/profiles/user_id:{user}", {"Authorization": f"Bearer {parts['read_key']}"}
    while _call(url, None, headers["Authorization"]) != 200:
        time.sleep(0.005)
    shown = time.monotonic()
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
        return json.loads(answer.read())["id"], sent, shown
