"""Every trait finished by Spark, in the driver and by the oracle: one random history, all operations and windows, in one Spark job for each time asked for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from batch.finishing import finish_persons
from batch.merging import merge_rows
from batch.windows import inside_window, windows_of
from millrace.columns.finish import finish_traits, trait_type
from millrace.tables.catalogue import profiles_table
from millrace.traits.fold import fold_events
from tests.laws.histories import DAY, SECRET, TRAITS, history
from tests.laws.law import seeded
from tests.laws.oracle import read_log
from tests.laws.oracle_traits import decimal_text, value_of
from tests.laws.oracle_values import time_text
from tests.laws.product import events_table, shown, view_of
from tests.tiers import SEED

pytestmark = pytest.mark.spark
DERIVED = {
    "share": {"expr": "spend_2d / orders"}, "twice": {"expr": "share * 2"}, "until": {"expr": "last_seen + 3d"}, "quiet": {"expr": "days(now - last_seen)"},
    "is_known": {"expr": "orders > 2 or last_product = 'apple'"}, "what": {"expr": "lower(first_page)"}, "kept": {"expr": "kinds_2d"}, "when": {"expr": "order_times"},
}  # fmt: skip
VIEW = view_of(TRAITS | DERIVED)
COUNTED = read_log(history(seeded(SEED), 700, 3), SECRET).counted


def as_answered(value: Any, name: str) -> Any:
    """A typed value of a table as an answer has it."""
    trait = VIEW.traits[name]
    if isinstance(value, list):
        return [{"value": as_answered(one["value"], name), "count": one["count"]} if isinstance(one, dict) else as_answered(one, name) for one in value]
    if value is None or isinstance(value, bool | str) or trait.answers == "integer":
        return value
    return time_text(shown(value, "")) if isinstance(value, datetime) else decimal_text(shown(value, ""))


def in_driver(rows: pa.Table, as_of: datetime) -> pa.Table:
    found = pa.table({"key": sorted(set(rows["key"].to_pylist()))})
    for trait, states in windows_of(VIEW).items():
        merged = merge_rows(rows.filter(inside_window(trait, as_of)), keys=["key"], kinds={state.name: state.kind for state in states.values()})
        place = pa.compute.index_in(found["key"], value_set=merged["key"].combine_chunks())
        for name, state in states.items():
            found = found.append_column(name, merged[state.name].take(place))
    return finish_persons(found, VIEW, keep=["key"], as_of=as_of)


@pytest.mark.parametrize("moved", [0, -DAY - 7, 32 * DAY])
def test_spark_and_driver_finish_every_trait_as_the_oracle_does(spark, moved):
    at = max(event.record.received_at for event in COUNTED) + moved
    as_of = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
    rows = fold_events(events_table(COUNTED, VIEW), VIEW.states)
    frame = finish_traits(spark.createDataFrame(rows).repartition(2), VIEW, by="key", as_of=as_of)
    types = {field.name: field.dataType.simpleString().upper() for field in frame.schema if field.name != "key"}
    derived = ("DECIMAL(38,9)", "DECIMAL(38,9)", "TIMESTAMP", "BIGINT", "BOOLEAN", "STRING", "ARRAY<STRING>", "ARRAY<TIMESTAMP>")
    assert types == {name: simple(trait_type(trait)) for name, trait in VIEW.traits.items()} | dict(zip(DERIVED, derived, strict=True))
    assert len(VIEW.compiled) == len(DERIVED)
    by_spark, by_driver = (sorted(table.to_pylist(), key=lambda row: row["key"]) for table in (frame.toArrow(), in_driver(rows, as_of)))
    expected = [
        {name: value_of(trait, [event for event in COUNTED if event.nodes[0] == row["key"]], at) for name, trait in TRAITS.items()} for row in by_driver
    ]
    for found in (by_driver, by_spark):
        answered = [{name: as_answered(row[name], name) for name in TRAITS} for row in found]
        assert [(name, row[name], true[name]) for row, true in zip(answered, expected, strict=True) for name in TRAITS if row[name] != true[name]] == []
    assert [[row[name] for name in DERIVED] for row in by_spark] == [[row[name] for name in DERIVED] for row in by_driver]
    assert moved > DAY or all(any(row[name] is not None for row in by_spark) for name in DERIVED)


def simple(ddl: str) -> str:
    return ddl.replace("STRUCT<value: ", "STRUCT<VALUE:").replace(", count: ", ",COUNT:").replace("DECIMAL(38, 9)", "DECIMAL(38,9)")


def test_the_types_spark_gives_are_those_of_the_table(spark):
    frame = finish_traits(spark.createDataFrame(fold_events(events_table(COUNTED[:5], VIEW), VIEW.states)), VIEW, by="key", as_of=datetime(2026, 3, 2, tzinfo=UTC))
    declared = profiles_table(VIEW).schema
    assert {field.name: str(field.type).replace("element", "item") for field in frame.toArrow().schema if field.name != "key"} == {
        name: str(declared.field(name).type) for name in (*VIEW.traits, *VIEW.derived)
    }
