"""Law 4, for people: the SQL shown for a trait, run by DuckDB over a person's events, gives the value that folding, merging and finishing give."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given

from millrace.traits.fold import fold_events
from millrace.traits.sql import trait_sql
from tests.laws.histories import SECRET, TRAITS
from tests.laws.law import histories, law
from tests.laws.oracle import Event, read_log
from tests.laws.oracle_traits import DAY, decimal_text, lines_of, typed
from tests.laws.oracle_values import number_of, time_text
from tests.laws.product import events_table, finished_trait, python_rows, shown, view_of
from tests.laws.test_merge_is_recompute import TIMES

TIME = pa.timestamp("us")
FLOATING = ("avg", "variance", "stddev")
PATHS = ("properties.revenue", "properties.product.id", "context.locale", "traits.city")
LINE_PATHS = ("properties.lines[].id", "properties.lines[].price")


@pytest.fixture(scope="module")
def duck() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")

    def number(text: str | None) -> Decimal | None:
        found = None if text is None else number_of(text)
        return None if found is None else Decimal(found).scaleb(-9)

    connection.create_function("number", number, ["VARCHAR"], "DECIMAL(38,9)", null_handling="special")
    return connection


def relation(events: list[Event]) -> pa.Table:
    columns: dict[str, Any] = {
        "event_time": pa.array([event.event_time for event in events], pa.int64()).cast(TIME),
        "received_at": pa.array([event.record.received_at for event in events], pa.int64()).cast(TIME),
        "partition": pa.array([event.record.partition for event in events], pa.int64()),
        "offset": pa.array([event.record.offset for event in events], pa.int64()),
    }
    columns |= {name: pa.array([getattr(event, name) for event in events], pa.string()) for name in ("type", "name", "source")}
    columns["line"] = pa.array([event.line for event in events], pa.int64())
    return pa.table(columns | {path: pa.array([typed(event, path, "string") for event in events], pa.string()) for path in (*PATHS, *LINE_PATHS)})


def answered(rows: list[tuple[Any, ...]], op: str) -> Any:
    """What a query gave, as an answer has it."""
    if op in ("histogram", "top_k"):
        return [{"value": plain(value), "count": count} for value, count in rows]
    return plain(rows[0][0]) if rows else None


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, datetime):
        return time_text(shown(value.replace(tzinfo=UTC), ""))
    return decimal_text(shown(value, "")) if isinstance(value, Decimal) else value


@law(share=0.1)
@given(history=histories(), as_of=TIMES)
def test_the_sql_of_a_trait_gives_what_the_trait_gives(history, as_of, duck):
    records, traits = history
    view, log = view_of(traits), read_log(records, SECRET)
    rows = python_rows(fold_events(events_table(log.counted, view), view.states), view.states)
    for node in sorted({event.nodes[0] for event in log.counted})[:3]:
        own = [event for event in log.counted if event.nodes[0] == node]
        events, lines = relation(own), relation([line for event in own for line in lines_of(event, "properties.lines")])  # noqa: F841  (DuckDB finds them by their names)
        for name, trait in view.traits.items():
            tiles = [(start, values) for (key, hop, start), values in rows.items() if key == node and hop == trait.hop]
            sql = trait_sql(trait, as_of)
            expected, found = finished_trait(trait, tiles, as_of), answered(duck.execute(sql).fetchall() if len(events) else [], trait.op)
            if trait.op in FLOATING:
                assert (found is None) == (expected is None) or expected is None, (name, sql)
                assert expected is None or math.isclose(found, float(expected), rel_tol=1e-6, abs_tol=1e-3), (name, sql)
            else:
                assert found == expected, (name, sql)


def test_every_trait_has_its_sql_and_quotes_are_doubled():
    assert all(trait_sql(trait, 50 * DAY).count("SELECT") for trait in view_of(TRAITS).traits.values())
    odd = view_of({"it": {"op": "count", "event": "It's", "where": {"properties.x": "a'; DROP TABLE events; --"}}}).traits["it"]
    assert trait_sql(odd, 0) == "SELECT count(*) FROM events WHERE type = 'track' AND name IN ('It''s') AND \"properties.x\" = 'a''; DROP TABLE events; --'"
