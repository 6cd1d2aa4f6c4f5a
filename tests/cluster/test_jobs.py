"""Jobs on a real standalone cluster, submitted as a user submits them: exact tables, exit codes that schedulers can trust, a record of every run."""

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from kafka import KafkaProducer

from millrace.keys import load_or_create_keys
from millrace.tables.catalogue import OPS_RUNS
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import read_ledger
from millrace.tables.manifest import read_manifests
from millrace.topics import ensure_topic
from tests.cluster.standalone import Cluster, Ended

if TYPE_CHECKING:
    from millrace.local.broker import Broker

pytestmark = [pytest.mark.cluster, pytest.mark.stack, pytest.mark.timeout(900)]
ORDERS = [(f"m{n}", f"u{n % 17}", Decimal(n * n % 101)) for n in range(300)]
REPEATED = ORDERS[::25]
VIEWS = """
person:
  key: node
  traits:
    orders: {event: Order Completed, op: count}
    spend: {event: Order Completed, op: sum, value: properties.revenue}
    largest: {event: Order Completed, op: max, value: properties.revenue}
    amounts: {event: Order Completed, op: approx_distinct, value: properties.revenue}
    events_24h: {op: count, window: 24h}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("cluster"))
    yield running
    running.stop()


def message(message_id: str, user: str, revenue: Decimal) -> bytes:
    found = {"type": "track", "event": "Order Completed", "messageId": message_id, "userId": user, "properties": {"revenue": float(revenue)}}
    return json.dumps(found).encode()


def send_everything(bootstrap: str, tenant: str) -> None:
    """All orders, some of them twice, and two records that are no messages."""
    topic, producer = ensure_topic(bootstrap, tenant), KafkaProducer(bootstrap_servers=bootstrap)
    for value in (*(message(*order) for order in (*ORDERS, *REPEATED)), b"no message", b"{}"):
        producer.send(topic, value=value, headers=[("source", b"http")])
    producer.close()


def finished_on_executors(ended: Ended) -> bool:
    return [(app["state"], app["cores"]) for app in ended.applications] == [("FINISHED", 2)]


def test_the_way_of_events_on_a_cluster(cluster: Cluster, broker: "Broker", tmp_path: Path) -> None:
    """Stream; a damaged increment blocks the publish until it is mended; then build on executors, nothing more to do, serving table."""
    root, tables = ("--root", str(tmp_path), "--tenant", "cluster"), TenantTables(tmp_path, "cluster")
    where = (*root, "--definitions", str(tmp_path))
    (tmp_path / "views.yml").write_text(VIEWS, encoding="utf-8")
    load_or_create_keys(tmp_path, "cluster")
    send_everything(broker.bootstrap, "cluster")

    streamed = cluster.submit("stream_events", *where, "--kafka", broker.bootstrap, "--available-now")
    assert (streamed.code, finished_on_executors(streamed)) == (0, True), streamed.said
    assert read_ledger(tables).counts() == {"accepted": 300, "duplicate": 12, "rejected": 2, "received": 314}

    increments = DeltaTable(tables.path("speed/person"))
    sound = increments.version()
    increments.update(updates={"count_order_completed": "count_order_completed + 1"}, predicate="hop = 0")
    blocked = cluster.submit("build_batch", *where)
    assert (blocked.code, finished_on_executors(blocked)) == (3, True), blocked.said
    assert "would answer differently in 17 rows" in blocked.record["error"] and read_manifests(tables) == []

    increments.restore(sound)
    built = cluster.submit("build_batch", *where, "--set", "batch.in_driver_rows=0")
    assert (built.code, finished_on_executors(built)) == (0, True), built.said
    (manifest,) = read_manifests(tables)
    assert (manifest.cut, manifest.kind, manifest.proof["engine"], manifest.proof["log_rows"]) == (read_ledger(tables).head, "full", "SparkEngine", 312)
    assert built.record["counts"] == json.dumps({"manifest_id": 1, "cut": manifest.cut, "kind": "full", "profiles": 17})

    again = cluster.submit("build_batch", *where)
    assert (again.code, again.applications, again.record["status"]) == (4, [], "nothing_to_do"), again.said

    published = cluster.submit("publish_serving", *root, "--set", "batch.profiles_in_driver_rows=0")
    assert (published.code, finished_on_executors(published)) == (0, True), published.said
    assert people(tables) == counted_in_python()

    runs = [ended.record for ended in (streamed, blocked, built, again, published)]
    rows = tables.read(OPS_RUNS).sort_by("started_at").to_pylist()
    assert [(row["run_id"], row["job"], row["exit_code"]) for row in rows] == [(run["run_id"], run["job"], run["exit_code"]) for run in runs]
    assert [run["exit_code"] for run in runs] == [0, 3, 0, 4, 0]


def people(tables: TenantTables) -> list[tuple[Any, ...]]:
    rows = DeltaTable(tables.path("serving/profiles")).to_pyarrow_table()
    assert pc.all(pc.equal(rows["identifier_count"], 1)).as_py()
    return sorted(zip(*(rows[name].to_pylist() for name in ("orders", "spend", "largest", "amounts", "events_24h")), strict=True))


def counted_in_python() -> list[tuple[Any, ...]]:
    baskets = {user: [revenue for _, other, revenue in ORDERS if other == user] for user in Counter(user for _, user, _ in ORDERS)}
    return sorted((len(found), sum(found), max(found), len(set(found)), len(found)) for found in baskets.values())


def test_wrong_definitions_end_with_2_and_all_problems_before_spark_starts(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "views.yml").write_text("person: {key: node, traits: {n: {op: cuont}, s: {op: sum, value: properties.x, windw: 30d}}}", encoding="utf-8")
    refused = cluster.submit("build_batch", "--root", str(tmp_path), "--tenant", "cluster", "--definitions", str(tmp_path))
    assert (refused.code, refused.applications) == (2, []), refused.said
    assert "did you mean 'count'?" in refused.said and "did you mean 'window'?" in refused.said
    assert (refused.record["status"], refused.record["exit_code"]) == ("failed", 2)
    (row,) = TenantTables(tmp_path, "cluster").read(OPS_RUNS).to_pylist()
    assert (row["run_id"], row["error"]) == (refused.record["run_id"], refused.record["error"])


def test_a_wrong_option_ends_with_2_before_spark_starts(cluster: Cluster, tmp_path: Path) -> None:
    refused = cluster.submit("build_batch", "--root", str(tmp_path), "--tenant", "cluster", "--fulll")
    assert (refused.code, refused.applications) == (2, []), refused.said
    assert "unrecognized arguments: --fulll" in refused.said


def test_the_default_definitions_are_those_of_the_distribution(cluster: Cluster, tmp_path: Path) -> None:
    nothing = cluster.submit("build_batch", "--root", str(tmp_path), "--tenant", "cluster")
    assert (nothing.code, nothing.applications) == (4, []), nothing.said
    assert "the ledger has no epoch yet" in nothing.record["error"]
