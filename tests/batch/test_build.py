"""Builds on a real broker, stream and Delta tables: what is published, when nothing is, and that a publish changes no answer."""

import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable

from batch.build import build
from batch.profiles import publish_profiles, refresh_profiles
from batch.rollback import roll_back
from millrace.definitions import DEFAULT_DIRECTORY, Definitions, load_definitions
from millrace.errors import ConfigurationError, CoverageError, NothingToDo, ProofError
from millrace.identity.nodes import node_of
from millrace.keys import read_keys
from millrace.settings import BatchSettings
from millrace.tables.catalogue import DECISION, DECISIONS
from millrace.tables.manifest import latest_manifest
from speed.seen import SeenIndex
from tests.tenant import ORDERS, Tenant, order

pytestmark = [pytest.mark.stack, pytest.mark.spark]
ENRICHED = """
person:
  key: node
  traits:
    euros: {op: sum, value: enriched.revenue}
    phone: {op: last, value: enriched.phone}
    by_bots: {op: count, where: enriched.agent.is_bot}
"""


def states(tenant: Tenant, manifest) -> list[dict]:
    rows = tenant.tables.read("batch/person", version=manifest.tables["batch/person"])
    return rows.sort_by([("key", "ascending"), ("hop", "ascending"), ("hop_start", "ascending")]).to_pylist()


def test_first_build_holds_every_epoch_and_a_second_has_nothing_to_do(tenant: Tenant) -> None:
    tenant.send(order("m1"), order("m2", revenue=2.5), order("m3", user="u2"))
    tenant.run()
    manifest = build(tenant.spark, tenant.tables, tenant.definitions)
    assert (manifest.manifest_id, manifest.cut, manifest.kind) == (1, 1, "full")
    assert sorted((row["count_order_completed"], str(row["sum_properties_revenue__order_completed"])) for row in states(tenant, manifest)) == [
        (1, "10.000000000"),
        (2, "12.500000000"),
    ]
    with pytest.raises(NothingToDo, match="already holds"):
        build(tenant.spark, tenant.tables, tenant.definitions)


def test_full_equals_incremental(tenant: Tenant) -> None:
    tenant.definitions = Definitions.model_validate({"views": {"person": {"key": "node", "traits": {
        "orders": {"event": "Order Completed", "op": "count", "window": "30d"}, "stores": {"event": "Order Completed", "op": "approx_distinct", "value": "properties.store"},
        "last": {"op": "last", "value": "event_time"}, "largest": {"op": "max", "value": "properties.revenue"}, "average": {"op": "avg", "value": "properties.revenue"},
    }}}})  # fmt: skip
    tenant.send(*(order(f"m{n}", user=f"u{n % 3}", revenue=n, properties={"store": n % 5, "revenue": n}) for n in range(20)))
    tenant.run(max_records=7)
    build(tenant.spark, tenant.tables, tenant.definitions)
    tenant.send(*(order(f"m{n}", user=f"u{n % 4}", revenue=n, anonymousId=f"a{n % 7}") for n in range(15, 40)))
    tenant.run()
    incremental = build(tenant.spark, tenant.tables, tenant.definitions)
    full = build(tenant.spark, tenant.tables, tenant.definitions, full=True)
    assert (incremental.kind, full.kind) == ("incremental", "full")
    for row in (*states(tenant, incremental), *states(tenant, full)):
        row.pop("distinct_properties_store__order_completed")
    assert states_without_sketches(tenant, incremental) == states_without_sketches(tenant, full)
    for name in ("batch/nodes", "batch/refused"):
        rows = [tenant.tables.read(name, version=manifest.tables[name]) for manifest in (incremental, full)]
        assert len(rows[0]) > 0 and rows[0].equals(rows[1]), name


def states_without_sketches(tenant: Tenant, manifest) -> list[dict]:
    return [{name: value for name, value in row.items() if not name.startswith("distinct_")} for row in states(tenant, manifest)]


def test_after_a_storm_across_any_gap_a_build_counts_every_message_of_every_source_once(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sources with the same ids, every message sent three times; what the stream remembers is lost twice in between, as after any horizon."""
    monkeypatch.setattr(SeenIndex, "rebuild", lambda *_: 0)
    for _ in range(3):
        for source in ("shop", "blog"):
            tenant.send(*(order(f"m{n}") for n in (*range(20), *range(20))), source=source)
        tenant.run()
        shutil.rmtree(tenant.checkpoint / "seen")
    assert tenant.orders() == 3 * 40
    manifest = build(tenant.spark, tenant.tables, tenant.definitions)
    assert [row["count_order_completed"] for row in states(tenant, manifest)] == [40]
    assert manifest.proof["escaped_duplicates"] == 80


def test_duplicate_that_escaped_the_horizon_is_repaired_and_named(tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant.send(order("m1"))
    tenant.run()
    build(tenant.spark, tenant.tables, tenant.definitions)
    monkeypatch.setattr(SeenIndex, "covers", lambda *_: True)
    SeenIndex(tenant.checkpoint / "seen").rotate(datetime.now(UTC))
    SeenIndex(tenant.checkpoint / "seen").rotate(datetime.now(UTC) + timedelta(days=30))
    SeenIndex(tenant.checkpoint / "seen").rotate(datetime.now(UTC) + timedelta(days=60))
    tenant.send(order("m1"), order("m2", user="u2"))
    tenant.run()
    assert tenant.orders() == 3
    manifest = build(tenant.spark, tenant.tables, tenant.definitions)
    assert manifest.proof["escaped_duplicates"] == 1
    assert manifest.proof["batch/person"]["explained"] == 1
    assert [row["count_order_completed"] for row in states(tenant, manifest)] == [1, 1]


def test_difference_nothing_explains_blocks_the_publish(tenant: Tenant) -> None:
    tenant.send(order("m1"), order("m2", user="u2"))
    tenant.run()
    first = build(tenant.spark, tenant.tables, tenant.definitions)
    tenant.send(order("m3"))
    tenant.run()
    DeltaTable(tenant.tables.path("speed/person")).update(updates={"count_order_completed": "7"}, predicate="epoch = 2")
    with pytest.raises(ProofError, match="differently in 1 rows"):
        build(tenant.spark, tenant.tables, tenant.definitions)
    assert latest_manifest(tenant.tables) == first


def test_missing_log_row_blocks_the_publish(tenant: Tenant) -> None:
    tenant.send(order("m1"), order("m2"))
    tenant.run()
    DeltaTable(tenant.tables.path("log/events")).delete('"offset" = 1')
    with pytest.raises(ProofError, match=r"2 rows \(0 duplicates\) in the ledger, 1 in the log"):
        build(tenant.spark, tenant.tables, tenant.definitions)


def test_hole_in_the_ledger_stops_the_build(tenant: Tenant) -> None:
    tenant.send(order("m1"), order("m2"), order("m3"))
    tenant.run(max_records=1)
    DeltaTable(tenant.tables.path("log/ledger")).delete("epoch = 2")
    with pytest.raises(CoverageError, match="no epoch 2"):
        build(tenant.spark, tenant.tables, tenant.definitions)


def test_rollback_serves_an_older_version_and_refuses_one_that_is_gone(tenant: Tenant) -> None:
    tenant.send(order("m1"))
    tenant.run()
    first = build(tenant.spark, tenant.tables, tenant.definitions)
    tenant.send(order("m2"))
    tenant.run()
    build(tenant.spark, tenant.tables, tenant.definitions)
    again = roll_back(tenant.tables, 1)
    assert (again.manifest_id, again.kind, again.cut, again.tables) == (3, "rollback", 1, first.tables)
    assert [row["count_order_completed"] for row in states(tenant, again)] == [1]
    assert build(tenant.spark, tenant.tables, tenant.definitions).cut == 2
    with pytest.raises(ConfigurationError, match="manifest 9 is not kept; kept are"):
        roll_back(tenant.tables, 9)


def test_build_under_other_definitions_than_the_stream_is_refused_and_new_ones_fill_back(tenant: Tenant) -> None:
    tenant.send(order("m1", revenue=3))
    tenant.run()
    build(tenant.spark, tenant.tables, tenant.definitions)
    traits = ORDERS["person"]["traits"] | {"largest": {"op": "max", "value": "properties.revenue"}}
    tenant.definitions = Definitions.model_validate({"views": {"person": {"key": "node", "traits": traits}}})
    with pytest.raises(ConfigurationError, match="run the stream first"):
        build(tenant.spark, tenant.tables, tenant.definitions)
    tenant.send(order("m2", revenue=2))
    tenant.run()
    manifest = build(tenant.spark, tenant.tables, tenant.definitions)
    assert manifest.kind == "full"
    assert [row["max_properties_revenue"] for row in states(tenant, manifest)] == [Decimal(3)]


def test_persons_are_what_edges_and_rules_make_them_and_refused_edges_are_kept_with_the_reason(tenant: Tenant) -> None:
    identify = {"type": "identify", "userId": "u1", "messageId": "i1", "traits": {"email": "A@x.org"}}
    tenant.send(order("m1", anonymousId="a1"), identify, order("m2", user="u2"), {"type": "alias", "messageId": "x", "userId": "u1", "previousId": "old"})
    tenant.send(order("m3", user="u1", anonymousId="kiosk"), order("m4", user="u2", anonymousId="kiosk"), order("m5", user="null", anonymousId="a1"))
    tenant.run()
    manifest = build(tenant.spark, tenant.tables, tenant.definitions)
    nodes = tenant.tables.read("batch/nodes", version=manifest.tables["batch/nodes"])
    sizes = nodes.group_by("person_id").aggregate([("node", "count")])["node_count"].to_pylist()
    assert sorted(sizes) == [1, 1, 1, 5], "u2, null, the kiosk; u1 with its mail, its device, its old id and the device that may be meant by it"
    assert sorted(found for found in nodes["isolated"].to_pylist() if found) == ["blocked", "shared"]
    refused = tenant.tables.read("batch/refused", version=manifest.tables["batch/refused"])
    assert sorted(refused["reason"].to_pylist()) == ["blocked", "shared", "shared"]


def decide(tenant: Tenant, number: int, kind: str, *users: str) -> None:
    """A row of identity/decisions, as the API writes it."""
    secret = read_keys(tenant.tables.root, tenant.tables.tenant).token_secret
    a, b = (*(node_of("user_id", user, secret) for user in users), None)[:2]
    row = {"decision_id": number, "decided_at": datetime.now(UTC), "kind": kind, "a": a, "b": b}
    tenant.tables.add(DECISIONS, pa.Table.from_pylist([row], schema=DECISION))


def test_a_decision_without_a_new_epoch_is_work_for_a_build_and_for_the_profiles(tenant: Tenant) -> None:
    tenant.send(order("m1", revenue=1), order("m2", user="u2", revenue=2), order("m3", user="u3", revenue=4))
    tenant.run()
    first = build(tenant.spark, tenant.tables, tenant.definitions)
    publish_profiles(lambda: tenant.spark, tenant.tables)
    decide(tenant, 1, "join", "u1", "u2")
    assert refresh_profiles(lambda: tenant.spark, tenant.tables) == 2
    profiles = tenant.tables.read("serving/profiles").sort_by("identifier_count").select(["identifier_count", "decisions"]).to_pylist()
    assert profiles == [{"identifier_count": 1, "decisions": 1}, {"identifier_count": 2, "decisions": 1}]
    second = build(tenant.spark, tenant.tables, tenant.definitions)
    assert (second.kind, second.cut, second.decisions, first.decisions) == ("incremental", first.cut, 1, 0)
    assert states(tenant, first) == states(tenant, second), "a decision rewrites no state"
    persons = tenant.tables.read("batch/nodes", version=second.tables["batch/nodes"]).group_by("person_id").aggregate([("node", "count")])
    assert sorted(persons["node_count"].to_pylist()) == [1, 2]
    with pytest.raises(NothingToDo, match="already holds"):
        build(tenant.spark, tenant.tables, tenant.definitions)
    assert build(tenant.spark, tenant.tables, tenant.definitions, full=True).decisions == 1


def by_duckdb(path: str) -> list[dict]:
    connection = duckdb.connect()
    connection.load_extension(str(files("duckdb_extension_delta") / "extensions" / f"v{duckdb.__version__}" / "delta.duckdb_extension"))
    return connection.execute("SELECT * FROM delta_scan(?)", [path]).to_arrow_table().to_pylist()


def by_pandas(path: str) -> list[dict]:
    rows = DeltaTable(path).to_pandas(types_mapper=pd.ArrowDtype).to_dict("records")
    return [{name: None if value is pd.NA or value is pd.NaT else value for name, value in row.items()} for row in rows]


def test_every_reader_sees_the_same_profiles(tenant: Tenant) -> None:
    tenant.definitions = load_definitions(DEFAULT_DIRECTORY)
    identify = {"type": "identify", "userId": "u1", "messageId": "i1", "traits": {"email": "A@x.org", "age": "45-54"}}
    tenant.send(order("m1", revenue=2.5, properties={"revenue": 2.5, "store_id": "é 1"}), order("m2"), identify, order("m3", user="u2"))
    tenant.run()
    build(tenant.spark, tenant.tables, tenant.definitions)
    assert publish_profiles(lambda: tenant.spark, tenant.tables, as_of=datetime(2017, 5, 8, tzinfo=UTC)) == 2
    path = tenant.tables.path("serving/profiles")
    readers = {
        "deltalake": lambda: DeltaTable(path).to_pyarrow_table().to_pylist(),
        "pandas": lambda: by_pandas(path),
        "duckdb": lambda: by_duckdb(path),
        "polars": lambda: pl.read_delta(path).to_arrow().to_pylist(),
        "spark": lambda: tenant.spark.read.format("delta").load(path).toArrow().to_pylist(),
    }
    seen = {name: sorted(read(), key=lambda row: row["person_id"]) for name, read in readers.items()}
    shown = sorted((row["orders_count"], row["revenue_total"], row["last_store"], row["stores"], row["age"], row["identifier_count"]) for row in seen["deltalake"])
    assert shown == [(1, Decimal(10), None, 0, None, 1), (2, Decimal("12.5"), "é 1", 1, "45-54", 2)]
    assert {name: rows == seen["deltalake"] for name, rows in seen.items()} == dict.fromkeys(readers, True)


def test_profiles_need_nothing_of_their_reader_but_the_oldest_protocol(tenant: Tenant) -> None:
    tenant.send(order("m1"))
    tenant.run()
    build(tenant.spark, tenant.tables, tenant.definitions)
    publish_profiles(lambda: tenant.spark, tenant.tables)
    protocol = DeltaTable(tenant.tables.path("serving/profiles")).protocol()
    assert (protocol.min_reader_version, protocol.reader_features) == (1, None)


def test_profiles_of_the_default_traits_are_finished(tenant: Tenant) -> None:
    tenant.definitions = load_definitions(DEFAULT_DIRECTORY)
    tenant.send(order("m1", revenue=2.5), order("m2", revenue=1), order("m3", user="u2", timestamp="2017-05-07T00:00:00Z"))
    tenant.run()
    build(tenant.spark, tenant.tables, tenant.definitions)
    publish_profiles(lambda: tenant.spark, tenant.tables, as_of=datetime(2017, 5, 8, tzinfo=UTC))
    rows = DeltaTable(tenant.tables.path("serving/profiles")).to_pyarrow_table().sort_by("revenue_total").to_pylist()
    shown = [(row["orders_count"], row["revenue_total"], row["average_basket"], row["spend_30d"], row["stores"], row["age"]) for row in rows]
    assert shown == [(2, Decimal("3.5"), Decimal("1.75"), Decimal("3.5"), 0, None), (1, Decimal(10), Decimal(10), Decimal(10), 0, None)]


def test_enriched_values_are_the_same_in_stream_and_builds_and_new_rates_fill_back(tenant: Tenant, tmp_path: Path) -> None:
    """The proof compares what speed counted with what batch reads again; a file of rates that changes is a new definition."""
    rates = tmp_path / "rates.csv"
    (tmp_path / "views.yml").write_text(ENRICHED, encoding="utf-8")
    (tmp_path / "enrichment.yml").write_text("phone: {default_region: DE}\nmoney: {currency: EUR, rates: rates.csv}\n", encoding="utf-8")
    rates.write_text("date,currency,rate\n2017-05-06,USD,0.5\n", encoding="utf-8")
    tenant.definitions = load_definitions(tmp_path)
    bot = {"userAgent": "curl/8.4.0", "traits": {"phone": "030 901820"}}
    tenant.send(*(order(f"m{n}", properties={"revenue": 10, "currency": currency}, context=bot if n else {}) for n, currency in enumerate(("USD", "EUR", "JPY"))))
    tenant.run()
    first = build(tenant.spark, tenant.tables, tenant.definitions)
    tenant.send(order("m9", properties={"revenue": 1, "currency": "usd"}))
    tenant.run()
    second = build(tenant.spark, tenant.tables, tenant.definitions)
    third = build(tenant.spark, tenant.tables, tenant.definitions, full=True, settings=BatchSettings(in_driver_rows=0))
    assert (first.kind, second.kind, third.kind) == ("full", "incremental", "full")
    assert values(tenant, first) == {"sum": Decimal(15), "last": "+4930901820", "count": 2}
    assert values(tenant, second) == values(tenant, third) == {"sum": Decimal("15.5"), "last": "+4930901820", "count": 2}
    told = {row["message_id"]: row["violations"] for row in tenant.tables.read("log/events").to_pylist()}
    assert told == {"m0": None, "m1": None, "m2": [{"field": "enriched.revenue", "rule": "no_rate"}], "m9": None}

    rates.write_text("date,currency,rate\n2017-05-06,USD,0.5\n2017-05-06,JPY,0.25\n", encoding="utf-8")
    tenant.definitions = load_definitions(tmp_path)
    with pytest.raises(ConfigurationError, match="run the stream first"):
        build(tenant.spark, tenant.tables, tenant.definitions)
    tenant.run()
    assert values(tenant, build(tenant.spark, tenant.tables, tenant.definitions)) == {"sum": Decimal(18), "last": "+4930901820", "count": 2}


def values(tenant: Tenant, manifest) -> dict:
    """States of the one node by their kind."""
    (row,) = states(tenant, manifest)
    found = {name.partition("_")[0]: value for name, value in row.items() if "__rules_" in name}
    return found | {"last": found["last"]["value"]}
