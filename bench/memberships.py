"""Memberships: from the collector's acknowledgement until the change of a segment is on Kafka, p95 under load, ÷ the trigger of Kafka → noop at the same load.

The whole of run_local runs: 100 segments, 100,000 people of the batch version, 500 events/s; one event in twenty is somebody's first. The end of a wait is the time at
which the broker appended the change (``LogAppendTime``, the same clock), read when all is over: a consumer would take from the machine and be measured itself.
The baseline is a Spark stream that reads the same events and does nothing, with the platform's own session. bench/run.py calls ``measure``.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from bench.freshness import TREE, _basic, _call, _produce_steadily
from bench.speed import message
from millrace.definitions import DEFAULT_DIRECTORY
from millrace.identity.nodes import node_of_key, person_id
from millrace.keys import load_or_create_keys
from millrace.local.broker import Broker
from millrace.topics import ensure_topic, memberships_topic

MUST, AIM = 40.0, 20.0
TARGET_MS = 2_000
TENANT = "default"
PROFILES, RATE, AT_ONCE = 100_000, 500, 20
WARM_S, MEASURED_S = 20, 60
FIRST = "has_ordered"


def measure() -> dict[str, Any]:
    """Milliseconds; the runs are the single waits, sorted."""
    with tempfile.TemporaryDirectory() as folder:
        found = waits(Path(folder) / "root", declare(Path(folder) / "definitions"))
        triggers = noop_triggers(Path(folder) / "noop")
    told = sorted(found.pop("waits"))
    p50, p95 = statistics.median(told), told[int(len(told) * 0.95)]
    baseline = statistics.median(triggers)
    figures = {"ratio": p95 / baseline, "value": p95, "baseline": baseline, "must": MUST, "aim": AIM, "p50": p50, "slowest": told[-1], "target_ms": TARGET_MS}
    return figures | found | {"profiles": PROFILES, "runs": [round(wait) for wait in told]}


def declare(directory: Path) -> Path:
    """The default definitions with a hundred segments of two to three clauses."""
    directory.mkdir(parents=True)
    for file in DEFAULT_DIRECTORY.glob("*.yml"):
        (directory / file.name).write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    kinds = (
        lambda n: f"orders_count >= {n + 1} and revenue_total > {100 * n}",
        lambda n: f"spend_30d < 0.{n % 9 + 1} * spend_90d and orders_30d >= {n % 5}",
        lambda n: f"last_store = '{n % 50}' and average_basket >= {20 * n}",
        lambda n: f"last_seen_at > now - {n + 1}d and (events_24h >= {n % 7 + 1} or largest_basket > {50 * n})",
    )
    rules = {f"segment_{n}": kinds[n % 4](n) for n in range(99)} | {FIRST: "orders_count >= 1"}
    (directory / "segments.yml").write_text(json.dumps(rules), encoding="utf-8")
    return directory


def waits(root: Path, directory: Path) -> dict[str, Any]:
    """``waits`` in milliseconds, one for each person first seen in the measured time; how many changes went out in that time, and how long everybody took before."""
    addresses = ["--collector", "127.0.0.1:0", "--api", "127.0.0.1:0", "--batch-every", "1h"]
    command = [sys.executable, "-m", "jobs.run_local", "--root", str(root), *addresses, "--definitions", str(directory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=TREE, text=True) as system:
        try:
            parts = json.loads(system.stdout.readline())
            filled_s = fill(parts, root)
            acknowledged = load(parts, WARM_S + MEASURED_S)
            firsts = [(user, at) for user, at in acknowledged if at >= acknowledged[0][1] + WARM_S]
            secret = load_or_create_keys(str(root), TENANT).token_secret
            people = {person_id(node_of_key(f"user_id:{user}", secret) or ""): at for user, at in firsts}
            told, changes = heard(parts["kafka"], people)
            return {"waits": told, "changes_per_second": round(changes / MEASURED_S), "filled_s": round(filled_s, 1)}
        finally:
            system.terminate()


def fill(parts: dict[str, str], root: Path) -> float:
    """One order of everybody, then a build, so that they lie in the batch version; until the follower has settled it. Seconds."""
    dice, started = Random(7), time.monotonic()
    for start in range(0, PROFILES, 500):
        batch = [message(dice, number) | {"userId": f"user-{number}", "anonymousId": f"device-{number}-0"} for number in range(start, min(start + 500, PROFILES))]
        _call(parts["collector"] + "/v1/batch", {"batch": batch}, _basic(parts["write_key"]))
    while _call(f"{parts['api']}/v1/profiles/user_id:user-{PROFILES - 1}", None, f"Bearer {parts['read_key']}") != 200:
        time.sleep(0.2)
    _call(parts["api"] + "/v1/batches", {}, f"Bearer {parts['admin_key']}", timeout_s=600)
    settlements = root / TENANT / "serving" / "segment_settlements"
    progress, until = root / TENANT / "segments" / "progress.json", time.monotonic() + 600
    while time.monotonic() < until:
        told = json.loads(progress.read_text(encoding="utf-8"))
        if settlements.exists() and told["manifest_id"] == 1 and told["batch"] == told["published"]:
            return time.monotonic() - started
        time.sleep(1)
    raise RuntimeError(f"the follower of segments does not settle the first publish: {told}")


def load(parts: dict[str, str], seconds: float) -> list[tuple[str, float]]:
    """Orders at ``RATE``, ``AT_ONCE`` to a request, the last of each by somebody new: who, and when the collector acknowledged it (seconds since 1970)."""
    dice, number, started, first = Random(3), 0, time.monotonic(), []
    while time.monotonic() < started + seconds:
        batch = [message(dice, PROFILES + number + n) for n in range(AT_ONCE)]
        user = f"first-{number}"
        batch[-1] |= {"userId": user, "anonymousId": None}
        if _call(parts["collector"] + "/v1/batch", {"batch": batch}, _basic(parts["write_key"])) == 200:
            first.append((user, time.time()))
        number += AT_ONCE
        time.sleep(max(0.0, started + number / RATE - time.monotonic()))
    return first


def heard(bootstrap: str, people: dict[str, float]) -> tuple[list[float], int]:
    """Milliseconds from each person's acknowledgement until the topic had that he entered ``has_ordered``; all changes appended since the first of them."""
    since = min(people.values())
    topic, found, changes = memberships_topic(TENANT), dict[str, float](), 0
    until = time.monotonic() + 120
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(partitions)
    for partition, offset in consumer.offsets_for_times(dict.fromkeys(partitions, int(since * 1000))).items():
        if offset is None:
            consumer.seek_to_end(partition)
        else:
            consumer.seek(partition, offset.offset)
    while len(found) < len(people) and time.monotonic() < until:
        for record in (record for records in consumer.poll(timeout_ms=500).values() for record in records):
            changes += 1
            person = record.key.decode()
            if person in people and f'"segment":"{FIRST}"'.encode() in record.value:
                found.setdefault(person, record.timestamp - people[person] * 1000)
    consumer.close()
    if len(found) < len(people):
        raise RuntimeError(f"{len(people) - len(found)} of {len(people)} people were never told")
    return list(found.values()), changes


def noop_triggers(folder: Path) -> list[float]:
    """Trigger durations in milliseconds of Kafka → noop at the same rate, after the same warm-up; in a process of its own."""
    with ExitStack() as started:
        folder.mkdir(parents=True)
        broker = started.enter_context(Broker(str(folder)))
        topic = ensure_topic(broker.bootstrap, "noop")
        stop = threading.Event()
        producing = threading.Thread(target=_produce_steadily, args=(broker.bootstrap, topic, stop))
        producing.start()
        started.callback(producing.join)
        started.callback(stop.set)
        command = [sys.executable, "-m", "bench.noop_stream", broker.bootstrap, topic, str(folder), str(WARM_S + MEASURED_S), str(WARM_S)]
        done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(measure()))
