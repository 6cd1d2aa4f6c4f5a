"""The merge of every kind of state in Spark against Python, on hundreds of groups in one Spark job; sketches through their bytes."""

import random
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from millrace.columns.algebra import merge
from millrace.tables.catalogue import state_type
from millrace.traits.algebra import KINDS, merge_all, scaled
from millrace.traits.sketches import estimate
from tests.laws.histories import TRAITS
from tests.laws.product import comparable, python_rows, python_values, view_of
from tests.laws.test_algebra_laws import sketch
from tests.tiers import SEED

pytestmark = pytest.mark.spark
GROUPS = 300
VIEW = view_of(
    TRAITS
    | {"first_number": {"op": "first", "value": "properties.revenue", "value_type": "number"}, "first_at": {"op": "first", "value": "received_at"}, "max_word": {"op": "max", "value": "name"}, "max_at": {"op": "max", "value": "event_time"}}
)  # fmt: skip
STATES = tuple(VIEW.states)
WORDS = ["", "a", "A", "ä", "b\x00", "\U0001f34e", "\uffff", "zz", " "]


def a_value(kind: str, chance: random.Random) -> Any:
    if kind == "number":
        return Decimal(chance.choice((chance.randrange(-(10**24), 10**24), chance.randrange(-3, 3), 2**63, -(2**63)))).scaleb(-9)
    return chance.choice(WORDS) if kind == "string" else chance.choice((0, 1, 1_772_323_200_000_000, 1_772_323_200_000_001, 253_402_300_799_999_999))


def a_state(state: Any, chance: random.Random, offset: int) -> Any:
    if chance.randrange(4) == 0:
        return None
    if state.kind == "count":
        return chance.choice((0, 1, 10**12))
    if state.kind == "distinct":
        return sketch([chance.randrange(600) for _ in range(chance.choice((0, 1, 5, 40, 700)))])
    if state.kind == "squares":
        return {part: a_value("number", chance) for part in ("high", "middle", "low")}
    if state.kind == "days":
        return sorted({chance.randrange(40) for _ in range(1 + chance.randrange(5))})
    if state.kind == "times":
        many = chance.randrange(40) == 0
        return sorted(chance.randrange(5_000) for _ in range(chance.choice((600, 1_001)) if many else 1 + chance.randrange(4)))
    if state.kind in ("counts", "spread"):
        return counted(state, chance)
    value = a_value(state.value_type, chance)
    if state.kind in ("first", "last"):
        at = chance.choice((0, 5, 1_772_323_200_000_000))
        return {"at": at, "partition": chance.randrange(2), "offset": offset, "value": None if chance.randrange(5) == 0 else value}
    return value


def counted(state: Any, chance: random.Random) -> Any:
    """Mostly a few values; now and then as many as the bound allows, or more than it does."""
    if chance.randrange(60):
        values = [scaled(value) if isinstance(value, Decimal) else value for value in (a_value(state.value_type, chance) for _ in range(chance.randrange(1, 5)))]
    else:
        numbers = range(chance.randrange(600), 600 + chance.choice((300, 500, 1_300)))
        values = [str(number) if state.value_type == "string" else number**5 * (-1) ** number for number in numbers]
    found = merge_all(state.kind, [[[value, chance.randrange(1, 9)]] for value in values])
    return [{"value": Decimal(one).scaleb(-9) if isinstance(one, int) else one, "count": count} for one, count in found]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Rows of partial states, none to six for each group and state."""
    chance = random.Random(SEED)
    rows = [(group, number) for group in range(GROUPS) for number in range(1 + chance.randrange(6))]
    chance.shuffle(rows)
    columns: dict[str, Any] = {"key": [f"user_id:{group}" for group, _ in rows], "hop": pa.array([0] * len(rows), pa.int32())}
    columns["hop_start"] = pa.array([0] * len(rows), pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    for state in STATES:
        columns[state.name] = pa.array([a_state(state, chance, number) for _, number in rows], state_type(state))
    return pa.table(columns)


def test_every_kind_and_every_type_of_value_is_merged_here():
    assert {state.kind for state in STATES} == set(KINDS)
    assert {(state.kind, state.value_type) for state in STATES} >= {(kind, value) for kind in ("min", "max", "first", "last") for value in ("number", "string", "time")} - {("min", "x")}


def test_merged_in_spark_equals_merged_in_python_for_every_kind(spark, table):
    rows = spark.createDataFrame(table).repartition(3)
    merged = rows.groupBy("key", "hop", "hop_start").agg(*(merge(state).alias(state.name) for state in STATES)).toArrow()
    found = comparable(python_rows(merged, VIEW.states), VIEW.states)
    groups: dict[str, list[int]] = {}
    for place, key in enumerate(table["key"].to_pylist()):
        groups.setdefault(key, []).append(place)
    for state in STATES:
        values = python_values(table[state.name], state)
        for key, places in groups.items():
            expected = merge_all(state.kind, [values[place] for place in places])
            if state.kind == "distinct" and expected is not None:
                expected = estimate(expected)
            merged = found[key, 0, 0][state.name]
            if state.kind in ("counts", "spread") and merged is not None:
                merged = KINDS[state.kind].fold([merged])
            assert merged == expected, (state.name, [values[place] for place in places])


def test_a_sketch_merged_by_spark_merges_on_in_python_and_back(spark, table):
    (state,) = (one for one in STATES if one.kind == "distinct" and one.value == "source" and not one.zone)
    rows = [(number % 2, bytearray(value)) for number, value in enumerate(table[state.name].to_pylist()) if value is not None]
    frame = spark.createDataFrame(rows, "half INT, value BINARY")
    halves = [bytes(row[0]) for row in frame.groupBy("half").agg(merge(state, F.col("value")).alias("value")).select("value").collect()]
    (whole,) = [bytes(row[0]) for row in frame.agg(merge(state, F.col("value"))).collect()]
    (again,) = [bytes(row[0]) for row in spark.createDataFrame([(bytearray(merge_all("distinct", halves)),)], "value BINARY").agg(merge(state, F.col("value"))).collect()]
    assert estimate(whole) == estimate(merge_all("distinct", halves)) == estimate(again) == estimate(merge_all("distinct", [bytes(value) for _, value in rows]))
