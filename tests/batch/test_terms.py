"""Sources with a term on the real stack: stream, builds in the driver and on executors, features and profiles, before and after the term."""

import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from batch.build import build
from batch.features.historical import historical
from batch.profiles import publish_profiles, refresh_profiles
from millrace.definitions import Definitions
from millrace.errors import NothingToDo
from millrace.expiry_of_speed import expire_speed
from millrace.features import chosen_features
from millrace.identity.nodes import node_of
from millrace.settings import BatchSettings
from millrace.tables.catalogue import EVENTS, EXPIRED_ROWS, REJECTED, SPEED_EDGES_TABLE
from millrace.tables.ledger import read_ledger
from tests.laws.expiring import comparable
from tests.tenant import Tenant, order

pytestmark = [pytest.mark.stack, pytest.mark.spark]
ON_EXECUTORS = BatchSettings(in_driver_rows=1, profiles_in_driver_rows=1, partition_rows=10)
VIEWS = {"person": {"key": "node", "traits": {
    "orders": {"event": "Order Completed", "op": "count"}, "city": {"op": "last", "value": "properties.city"}, "city_of_dmp": {"op": "last", "value": "properties.city", "party": "third"},
    "seen_by_dmp": {"op": "count", "sources": ["dmp"], "window": "this_year"}, "best_city": {"expr": "coalesce(city, city_of_dmp)"},
}}}  # fmt: skip


def ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()


def told(message_id: str, city: str, hours: float, **more: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Attribute", "messageId": message_id, "userId": "u1", "timestamp": ago(hours), "properties": {"city": city}} | more


@pytest.fixture
def with_dmp(tenant: Tenant) -> Tenant:
    tenant.definitions = Definitions.model_validate({"views": VIEWS, "sources": {"dmp": {"party": "third", "retention": "2d"}}})
    tenant.send(order("m1", anonymousId="a1"), source="shop")
    tenant.send(told("d1", "Rom", 40), told("d2", "Bonn", 20, anonymousId="a9"), told("d3", "Old", 49), told("d4", "Kiel", 1, userId="stranger"), source="dmp")
    tenant.run()
    return tenant


def profiles(tenant: Tenant) -> dict[str, Any]:
    rows = tenant.tables.read("serving/profiles").to_pylist()
    return {row["hints"]: (row["orders"], row["city_of_dmp"], row["best_city"]) for row in rows}


def cities(tenant: Tenant, settings: BatchSettings, now: datetime) -> list[Any]:
    """What features say of the person an hour ago, as it is known now, when they are asked for at a time."""
    node = node_of("user_id", "u1", tenant.keys.token_secret)
    known = datetime.now(UTC)
    frame = tenant.spark.createDataFrame(pa.table({"node": [node], "at": pa.array([known - timedelta(hours=1)], pa.timestamp("us", tz="UTC")), "known_at": pa.array([known], pa.timestamp("us", tz="UTC"))}))
    asking = historical(tenant.spark, tenant.tables, tenant.definitions, settings=settings, now=now)
    return asking.features(frame, chosen_features(["person__city_of_dmp", "person__best_city"], tenant.definitions.views)).toArrow().select(["person__city_of_dmp", "person__best_city"]).to_pylist()


def test_the_stream_counts_joins_nobody_and_rejects_what_is_over(with_dmp: Tenant) -> None:
    ledger = read_ledger(with_dmp.tables)
    assert ledger.counts() == {"accepted": 4, "rejected": 1, "duplicate": 0, "received": 5}
    assert sum(ledger.rows["with_term"].to_pylist()) == 3
    (rejected,) = with_dmp.tables.read(REJECTED).to_pylist()
    assert (rejected["reason"], rejected["payload"], rejected["message_id"]) == ("expired", None, "d3")
    edges = with_dmp.tables.read(SPEED_EDGES_TABLE).to_pylist()
    assert [(row["a"].split(":")[0], row["b"].split(":")[0], row["seen_count"]) for row in edges] == [("anonymous_id", "user_id", 1)]


@pytest.mark.parametrize("settings", [BatchSettings(), ON_EXECUTORS], ids=["driver", "executors"])
def test_before_and_after_the_term_in_builds_profiles_and_features(with_dmp: Tenant, settings: BatchSettings) -> None:
    tenant, now = with_dmp, datetime.now(UTC)
    build(tenant.spark, tenant.tables, tenant.definitions, settings=settings)
    publish_profiles(lambda: tenant.spark, tenant.tables, settings=settings)
    assert list(profiles(tenant).values()) == [(1, "Bonn", "Bonn")]
    assert cities(tenant, settings, now) == [{"person__city_of_dmp": "Bonn", "person__best_city": "Bonn"}]
    assert cities(tenant, settings, now + timedelta(hours=29)) == [{"person__city_of_dmp": None, "person__best_city": None}]

    tenant.send(told("d5", "Ulm", 2), source="dmp")
    tenant.run()
    if settings is not ON_EXECUTORS:
        refresh_profiles(lambda: tenant.spark, tenant.tables, settings=settings)
        assert list(profiles(tenant).values()) == [(1, "Ulm", "Ulm")], "an event that shows no edge touches its person"
    later = now + timedelta(hours=29)
    expired = expire_speed(tenant.tables, tenant.definitions, now=later, run_id="r", keep_files_s=0.0)
    assert sum(expired["rows"].to_pylist()) == 2 == sum(tenant.tables.read(EXPIRED_ROWS)["rows"].to_pylist())
    incremental = build(tenant.spark, tenant.tables, tenant.definitions, settings=settings)
    assert (incremental.kind, incremental.proof["gone"]["dmp"] > 0) == ("incremental", True)
    with pytest.raises(NothingToDo):
        build(tenant.spark, tenant.tables, tenant.definitions, settings=settings)
    for other in (settings, BatchSettings(), ON_EXECUTORS):
        full = build(tenant.spark, tenant.tables, tenant.definitions, full=True, settings=other)
        for name in ("batch/person", "batch/edges", "batch/nodes"):
            assert comparable(tenant.tables.read(name, version=full.tables[name])) == comparable(tenant.tables.read(name, version=incremental.tables[name])), (name, other)
    assert cities(tenant, settings, now) == [{"person__city_of_dmp": "Ulm", "person__best_city": "Ulm"}]
    payloads = [row["payload"] and json.loads(row["payload"])["messageId"] for row in tenant.tables.read(EVENTS).sort_by([("epoch", "ascending"), ("offset", "ascending")]).to_pylist()]
    assert payloads == ["m1", None, None, "d4", "d5"]


def test_who_has_a_term_can_change_and_the_next_build_publishes_it(tenant: Tenant) -> None:
    sources: dict[str, Any] = {}
    for retention in (None, "30d", "2d", None):
        sources = {"dmp": {"retention": retention}} if retention else {"dmp": {}}
        views = {"person": {"key": "node", "traits": {"orders": {"op": "count"}, "of_dmp": {"op": "count", "sources": ["dmp"]}}}}
        tenant.definitions = Definitions.model_validate({"views": views, "sources": sources})
        tenant.send(told(f"d{retention}", "Rom", 1, anonymousId="a1"), source="dmp")
        tenant.send(told(f"s{retention}", "Rom", 1), source="shop")
        tenant.run()
        manifest = build(tenant.spark, tenant.tables, tenant.definitions)
        nodes = tenant.tables.read("batch/nodes", version=manifest.tables["batch/nodes"])
        assert len(nodes) == (1 if retention else 2), "edges of a source with a term part again, and come back"


def test_the_stream_warns_of_a_topic_that_keeps_what_has_a_term(with_dmp: Tenant, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="speed.stream"):
        with_dmp.run()
    assert f"topic {with_dmp.topic} keeps records for ever, longer than the term of a source (2d): set its retention.ms to 172800000 or less" in caplog.text
