"""Memberships under crashes: the real job dies by SIGKILL at each of its crash points; after the restart no change is lost, none is in the table twice, and the
topic has every change in order, where the same ``change_id`` may come again but never another one in between.

Tables are written by hand, so that no JVM but the broker's is needed.
"""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from millrace.faults import CRASH_POINTS, VARIABLE
from millrace.local.processes import start_process, stop_process
from millrace.tables.catalogue import SEGMENT_CHANGES
from millrace.tables.delta import TenantTables
from tests.serving.segments.hand_made import members_after
from tests.serving.store.by_hand import TRAITS, HandMade, Order, definitions_of

pytestmark = pytest.mark.stack
SEGMENTS = [name for name in CRASH_POINTS if name.startswith("segments.")]
RULES = {"buyers": "orders >= 2", "north": "last_store = 'north'", "lately": "last_seen > now - 3650d and orders >= 1"}
REPOSITORY = Path(__file__).resolve().parents[2]
DONE_S = 60
DEFINITIONS = definitions_of(TRAITS | {"last_seen": {"op": "max", "event": "Order", "value": "event_time"}})


class Tenant(HandMade):
    """Tables by hand, the follower of segments as a process of its own."""

    def __init__(self, root: Path, bootstrap: str) -> None:
        super().__init__(root, DEFINITIONS)
        self.root, self.bootstrap = root, bootstrap
        self.tables = TenantTables(root, f"segments{time.time_ns()}")
        folder = root / "definitions"
        folder.mkdir()
        shown = DEFINITIONS.model_dump(mode="json", exclude_defaults=True)
        (folder / "views.yml").write_text(json.dumps(shown["views"]), encoding="utf-8")
        (folder / "identity.yml").write_text(json.dumps(shown["identity"]), encoding="utf-8")
        (folder / "segments.yml").write_text(json.dumps(RULES), encoding="utf-8")

    @contextmanager
    def follows(self, crash_at: str = "") -> Iterator[subprocess.Popen[bytes]]:
        options = ["--root", str(self.root), "--tenant", self.tables.tenant, "--definitions", str(self.root / "definitions"), "--kafka", self.bootstrap]
        with open(self.root / "follower.log", "ab") as output:
            process = start_process([sys.executable, "-m", "jobs.follow_segments", *options], output=output, env={VARIABLE: crash_at}, cwd=REPOSITORY)
        try:
            yield process
        finally:
            stop_process(process, wait_s=10)

    def crash(self, crash_at: str) -> None:
        with self.follows(crash_at) as process:
            assert process.wait(DONE_S) == -signal.SIGKILL, self.said()

    def said(self) -> str:
        return (self.root / "follower.log").read_text(encoding="utf-8")[-3000:]

    def until(self, condition: Callable[[dict[str, Any]], bool]) -> None:
        """Waits until what the follower tells of itself is so."""
        until, path = time.monotonic() + DONE_S, self.root / self.tables.tenant / "segments" / "progress.json"
        while not (path.exists() and condition(json.loads(path.read_text(encoding="utf-8")))):
            assert time.monotonic() < until, self.said()
            time.sleep(0.02)

    def caught_up(self) -> None:
        with self.follows():
            self.until(lambda told: told["head"] == self.epochs and not told["pending"] and told["published"] == told["batch"])

    def rows(self) -> list[dict[str, Any]]:
        return self.tables.read(SEGMENT_CHANGES).sort_by([("batch", "ascending"), ("number", "ascending")]).to_pylist()

    def records(self) -> list[dict[str, Any]]:
        """The topic, partition after partition, each value with the id of its header beside it."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False, consumer_timeout_ms=1_000)
        topic = f"{self.tables.tenant}.memberships"
        partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        ends, found = consumer.end_offsets(partitions), []
        for partition in partitions:
            consumer.assign([partition])
            consumer.seek_to_beginning(partition)
            while consumer.position(partition) < ends[partition]:
                for records in consumer.poll(timeout_ms=200).values():
                    found += [json.loads(one.value) | {"header": dict(one.headers)["change_id"].decode(), "key": one.key.decode()} for one in records]
        consumer.close()
        return found


@pytest.fixture
def tenant_here(broker: Any, tmp_path: Path) -> Tenant:
    return Tenant(tmp_path, broker.bootstrap)


def check_nothing_is_lost_and_nothing_twice(tenant: Tenant) -> None:
    rows, records = tenant.rows(), tenant.records()
    held = members_after([(row["segment"], row["person_id"], row["change"]) for row in rows])
    assert sorted(held.values(), key=sorted) == sorted(expected(tenant), key=sorted)
    assert len({row["change_id"] for row in rows}) == len(rows)
    assert all(one["header"] == one["change_id"] and one["key"] == one["person_id"] for one in records)
    for person in {row["person_id"] for row in rows}:
        told = [row["change_id"] for row in rows if row["person_id"] == person]
        heard = list(dict.fromkeys(one["change_id"] for one in records if one["person_id"] == person))
        assert heard == told


def expected(tenant: Tenant) -> list[frozenset[str]]:
    """Segments of everybody who is in one; nobody joins anybody here."""
    orders: dict[str, list[Order]] = {}
    for placed in tenant.log:
        orders.setdefault(placed.order.node, []).append(placed.order)
    found = []
    for of_one in orders.values():
        last = max(enumerate(of_one), key=lambda pair: (pair[1].time, pair[0]))[1]
        found.append(frozenset({"lately"} | ({"buyers"} if len(of_one) >= 2 else set()) | ({"north"} if last.store == "north" else set())))
    return found


@pytest.mark.parametrize("point", SEGMENTS)
def test_the_follower_dies_and_the_next_run_tells_the_rest_once(point: str, tenant_here: Tenant) -> None:
    tenant = tenant_here
    tenant.write(*(Order(f"user_id:{number}", store="south") for number in range(30)))
    tenant.crash(point)
    tenant.write(*(Order(f"user_id:{number}", store="north") for number in range(0, 30, 2)))
    tenant.publish(cut=1)
    tenant.crash(f"{point}:{2 if point == 'segments.published' else 1}")
    tenant.write(Order("user_id:0", store="south"), Order("user_id:1", at="2025-01-01T00:00:00Z", store="north"), Order("user_id:new"))
    tenant.caught_up()
    check_nothing_is_lost_and_nothing_twice(tenant)
    before = tenant.rows()
    tenant.caught_up()
    assert tenant.rows() == before


def test_killed_at_any_moment_nothing_is_lost(tenant_here: Tenant) -> None:
    """No crash point chooses the moment."""
    tenant = tenant_here
    for turn in range(4):
        tenant.write(*(Order(f"user_id:{number}", store="north" if (number + turn) % 3 else "south") for number in range(turn, 20 + turn)))
        with tenant.follows() as process:
            time.sleep(0.8 + 0.35 * turn)
            process.kill()
            process.wait()
    tenant.caught_up()
    check_nothing_is_lost_and_nothing_twice(tenant)


def test_a_state_that_is_lost_leaves_no_gap_in_the_topic(tenant_here: Tenant) -> None:
    tenant = tenant_here
    tenant.write(Order("user_id:a"), Order("user_id:b", store="south"))
    tenant.crash("segments.appended")
    shutil.rmtree(tenant.root / tenant.tables.tenant / "segments")
    tenant.write(Order("user_id:b", store="north"))
    tenant.caught_up()
    check_nothing_is_lost_and_nothing_twice(tenant)
