"""serving/segment_members: members are those that SQL over the orders themselves finds, percentiles are settled once a batch version, and time alone moves people."""

import tempfile
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import duckdb
import polars
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.members import publish_members
from batch.profiles import publish_profiles, refresh_profiles
from millrace.definitions import Definitions
from millrace.errors import NothingToDo
from millrace.identity.nodes import person_id
from millrace.keys import load_or_create_keys
from millrace.segments import compile_segments
from millrace.traits.algebra import UNIT, scaled
from millrace.traits.finish import micros
from tests.serving.store.by_hand import PATIENT, HandMade, Order, definitions_of

TRAITS = {
    "orders": {"op": "count", "event": "Order"},
    "spend": {"op": "sum", "event": "Order", "value": "properties.revenue"},
    "largest": {"op": "max", "event": "Order", "value": "properties.revenue"},
    "store": {"op": "last", "event": "Order", "value": "properties.store"},
    "last_at": {"op": "last", "event": "Order", "value": "event_time"},
}
NOW = datetime(2025, 1, 10, 12, 30, tzinfo=UTC)
NODES = [f"user_id:{letter}" for letter in "abcdefgh"]
TIMES = [f"2025-01-{day:02d}T{hour:02d}:15:00Z" for day in (2, 7, 8, 9, 10) for hour in (0, 9, 12)]
CLAUSES = {
    # a rule, and the same over the orders of one person in other words: n orders, their sum, the largest, the last store, the last time
    "orders >= 2": "n >= 2",
    "spend / orders > 4": "total > 4 * n",
    "spend < 0.5 * largest + 3": "2 * total < biggest + 6",
    "store in ['north', 'é']": "final IN ('north', 'é')",
    "store contains 'th'": "final LIKE '%th%'",
    "now - last_at > 1d 12h": "moment < $now::TIMESTAMP - INTERVAL 36 HOUR",
    "days(now - last_at) = 3": "moment <= $now::TIMESTAMP - INTERVAL 72 HOUR AND moment > $now::TIMESTAMP - INTERVAL 96 HOUR",
    "day(last_at) between 8 and 9": "strftime(moment, '%d') IN ('08', '09')",
    "largest is null": "biggest IS NULL",
    "percentile(spend) >= 0.5": "2 * (SELECT count(*) FROM persons p WHERE p.total < persons.total) >= (SELECT count(*) FROM persons)",
    "percentile(spend) > 0.75": "4 * (SELECT count(*) FROM persons p WHERE p.total < persons.total) > 3 * (SELECT count(*) FROM persons)",
    "percentile(largest) < 0.4": "biggest IS NOT NULL AND 5 * (SELECT count(*) FROM persons p WHERE p.biggest < persons.biggest) < 2 * (SELECT count(biggest) FROM persons)",
}
ORACLE = """
WITH persons AS (
  SELECT node, count(*) AS n, coalesce(sum(revenue::DECIMAL(18, 9)), 0) AS total, max(revenue::DECIMAL(18, 9)) AS biggest,
    arg_max(store, (moment, place)) AS final, max(moment) AS moment
  FROM orders GROUP BY node)
SELECT node FROM persons WHERE """
orders = st.builds(
    Order,
    node=st.sampled_from(NODES),
    at=st.sampled_from(TIMES),
    revenue=st.sampled_from(["0", "2.5", "-1", "10.000000001", "4"]),
    store=st.sampled_from(["north", "south", "é"]),
)
epochs = st.lists(st.lists(orders, min_size=1, max_size=6), min_size=1, max_size=3)


def rules(count: int = 6) -> st.SearchStrategy[tuple[str, str]]:
    clause = st.sampled_from(sorted(CLAUSES.items()))

    def joined(inner: st.SearchStrategy[tuple[str, str]]) -> st.SearchStrategy[tuple[str, str]]:
        pairs = st.tuples(inner, inner)
        both = pairs.map(lambda two: (f"({two[0][0]} and {two[1][0]})", f"({two[0][1]}) AND ({two[1][1]})"))
        either = pairs.map(lambda two: (f"({two[0][0]} or {two[1][0]})", f"(({two[0][1]}) OR ({two[1][1]}))"))
        return both | either | inner.map(lambda one: (f"not ({one[0]})", f"NOT ({one[1]})"))

    return st.recursive(clause, joined, max_leaves=count)


class Tenant(HandMade):
    def __init__(self, root: Path, segments: dict[str, str]) -> None:
        declared = definitions_of(TRAITS)
        super().__init__(root, Definitions.model_validate(declared.model_dump(exclude_defaults=True) | {"segments": segments}))
        load_or_create_keys(root, self.tables.tenant)

    def members(self, at: datetime = NOW) -> dict[str, set[str]]:
        """By segment, after profiles and members are brought to the head."""
        for write in (lambda: refresh_profiles(no_spark, self.tables, as_of=at), lambda: publish_members(self.tables, as_of=at)):
            try:
                write()
            except NothingToDo:
                continue
        rows = self.tables.read("serving/segment_members").to_pylist()
        found: dict[str, set[str]] = {}
        for row in rows:
            found.setdefault(row["segment"], set()).add(row["person_id"])
        assert sum(map(len, found.values())) == len(rows)
        return found

    def expected(self, condition: str, at: datetime = NOW) -> set[str]:
        """Straight from the orders."""
        connection = duckdb.connect(config={"threads": 1})
        connection.execute("SET TimeZone = 'UTC'; CREATE TABLE orders (place INT, node TEXT, moment TIMESTAMP, revenue TEXT, store TEXT)")
        rows = [(place, one.order.node, one.order.time.replace(tzinfo=None), one.order.revenue, one.order.store) for place, one in enumerate(self.log)]
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", rows)
        found = connection.execute(ORACLE + condition, {"now": at.replace(tzinfo=None)} if "$now" in condition else None).fetchall()
        return {person_id(node) for (node,) in found}


def no_spark() -> Any:
    raise AssertionError("what fits the driver needs no Spark")


@settings(PATIENT, max_examples=25)
@given(written=epochs, rule=st.lists(rules(), min_size=1, max_size=4), minutes=st.sampled_from([0, 7, 60 * 24 * 3]))
def test_members_are_those_that_sql_over_the_orders_finds(written: list[list[Order]], rule: list[tuple[str, str]], minutes: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        declared = {f"s{place}": text for place, (text, _) in enumerate(rule)} | {"nested": 'not segment("s0") and orders >= 1'}
        tenant = Tenant(Path(folder), declared)
        for epoch in written:
            tenant.write(*epoch)
        tenant.publish(1)
        at = NOW + timedelta(minutes=minutes)
        found, everybody = tenant.members(at), tenant.expected("true")
        for place, (_, condition) in enumerate(rule):
            assert found.get(f"s{place}", set()) == tenant.expected(condition, at), rule[place]
        assert found.get("nested", set()) == everybody - tenant.expected(rule[0][1], at)


def test_between_publishes_a_percentile_is_the_threshold_of_the_last_one(tmp_path: Path) -> None:
    tenant = Tenant(tmp_path, {"top": "percentile(spend) >= 0.5"})
    tenant.write(*(Order(node=node, revenue=str(number)) for number, node in enumerate(NODES)))
    tenant.publish(1)
    assert tenant.members()["top"] == {person_id(node) for node in NODES[4:]}
    tenant.write(Order(node=NODES[0], revenue="4"), Order(node=NODES[1], revenue="2.999999999"))
    assert tenant.members()["top"] == {person_id(node) for node in [NODES[0], *NODES[4:]]}
    tenant.publish(2)
    assert tenant.members()["top"] == {person_id(node) for node in NODES[5:]}  # two have 4 now, and only three have less
    rows = tenant.tables.read("serving/segment_thresholds").sort_by("manifest_id").to_pylist()
    assert [(row["manifest_id"], scaled(row["threshold"]), row["known_count"]) for row in rows] == [(1, 4 * UNIT, 8), (2, 5 * UNIT, 8)]


def test_time_alone_moves_people_and_a_refresh_says_so(tmp_path: Path) -> None:
    tenant = Tenant(tmp_path, {"asleep": "now - last_at > 2d", "buyers": "orders >= 1"})
    tenant.write(Order(node=NODES[0], at="2025-01-10T12:00:00Z"))
    tenant.publish(1)
    assert tenant.members(NOW) == {"buyers": {person_id(NODES[0])}}
    assert tenant.members(NOW + timedelta(days=2)) == {"buyers": {person_id(NODES[0])}, "asleep": {person_id(NODES[0])}}


def test_where_nothing_can_have_changed_nothing_is_written(tmp_path: Path) -> None:
    tenant = Tenant(tmp_path, {"buyers": "orders >= 1"})
    with pytest.raises(NothingToDo):
        publish_members(tenant.tables)
    tenant.write(Order(node=NODES[0]))
    tenant.publish(1)
    publish_profiles(no_spark, tenant.tables, as_of=NOW)
    assert publish_members(tenant.tables, as_of=NOW) == 1
    with pytest.raises(NothingToDo):
        publish_members(tenant.tables, as_of=NOW + timedelta(days=1))


def test_other_readers_open_the_table(tmp_path: Path) -> None:
    tenant = Tenant(tmp_path, {"buyers": "orders >= 1", "nobody": "orders < 0"})
    tenant.write(Order(node=NODES[0]), Order(node=NODES[1]))
    tenant.publish(1)
    tenant.members()
    path = tenant.tables.path("serving/segment_members")
    assert polars.read_delta(path).height == 2
    connection = duckdb.connect()
    connection.load_extension(str(files("duckdb_extension_delta") / "extensions" / f"v{duckdb.__version__}" / "delta.duckdb_extension"))
    assert connection.execute("SELECT count(*) FROM delta_scan(?)", [path]).fetchone() == (2,)
    assert DeltaTable(path).protocol().min_reader_version == 1


def test_python_and_the_table_judge_alike(tmp_path: Path) -> None:
    tenant = Tenant(tmp_path, {f"s{place}": rule for place, rule in enumerate(CLAUSES) if "percentile" not in rule})
    tenant.write(*(Order(node=node, at=TIMES[place], revenue=str(place - 1), store=["north", "south", "é"][place % 3]) for place, node in enumerate(NODES)))
    tenant.publish(1)
    found = tenant.members()
    profiles = tenant.tables.read("serving/profiles").to_pylist()
    for segment in compile_segments(tenant.definitions):
        values = [{**row, "spend": scaled(row["spend"]), "largest": scaled(row["largest"]), "last_at": micros(row["last_at"])} for row in profiles]
        assert {row["person_id"] for row in values if segment.holds(row, micros(NOW))} == found.get(segment.name, set())
