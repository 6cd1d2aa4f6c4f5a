"""Every trait of the demo's tenant, from its messages to the answer, equals what DuckDB computes from the files: speed and batch mixed, no process started."""

from datetime import UTC, datetime, timedelta

import duckdb
import msgspec
import pyarrow as pa
import pytest

from millrace.definitions import load_definitions
from millrace.demo.comparison import Comparison, compare, compare_rows
from millrace.demo.events import Event, events_of_week, last_moment
from millrace.demo.oracle import expected_profiles
from millrace.demo.other_views import expected_rows
from millrace.demo.system import GROCERY
from millrace.events.standard import Standardizer
from millrace.identity.nodes import node_of_key
from millrace.tables.catalogue import TIME
from millrace.traits.finish import micros
from millrace.traits.fold import fold_events
from serving.store.layout import Layout, decode, encode
from serving.store.plan import Plan

SECRET = b"s" * 32
VIEW = load_definitions(GROCERY).views["person"]


def records_of(events: list[Event], first: int) -> pa.Table:
    return pa.table(
        {
            "partition": pa.array([0] * len(events), pa.int32()), "offset": pa.array(range(first, first + len(events)), pa.int64()),
            "received_at": pa.array([event.event_time + timedelta(seconds=1) for event in events], TIME), "source": pa.array(["http"] * len(events)),
            "payload": pa.array([event.message.encode() for event in events], pa.binary()),
        }
    )  # fmt: skip


def compared(source: duckdb.DuckDBPyConnection, weeks: int, as_of: datetime) -> Comparison:
    layout, standardizer = Layout(VIEW), Standardizer(VIEW.states, SECRET)
    batch: dict[str, bytes] = {}
    speed: dict[str, bytes] = {}
    for week in range(1, weeks + 1):
        events = events_of_week(source, week)
        rows = fold_events(standardizer.standardize(records_of(events, week * 10**6)), VIEW.states)
        held = batch if week <= weeks // 2 else speed
        for node, slots in layout.fold(rows).items():
            held[node] = encode(layout.merge(decode(held[node]), slots) if node in held else slots)
    plan, expected = Plan(VIEW, layout), expected_profiles(source, weeks=weeks, as_of=as_of)
    answers = []
    for household in expected:
        node = node_of_key(f"user_id:{household}", SECRET)
        read = plan.read(*([decode(held[node])] if node in held else [] for held in (batch, speed)), micros(as_of))
        answers.append({"id": household, "traits": {name: msgspec.to_builtins(answer) for name, answer in read.items()}})
    return compare(expected, answers, expected)


def compared_rows(source: duckdb.DuckDBPyConnection, weeks: int, as_of: datetime) -> list[Comparison]:
    """The views that are not of persons."""
    definitions = load_definitions(GROCERY)
    events = [event for week in range(1, weeks + 1) for event in events_of_week(source, week)]
    standard = Standardizer(definitions.readers, SECRET).standardize(records_of(events, 0))
    found = []
    for name, expected in expected_rows(source, weeks=weeks, as_of=as_of).items():
        view = definitions.views[name]
        layout = Layout(view)
        plan, key, answers = Plan(view, layout), view.keyed, []
        for text, slots in layout.fold(fold_events(standard, view.states, key)).items():
            read = plan.read([], [slots], micros(as_of))
            answers.append({"key": dict(zip(key.names, key.values(text), strict=True)), "traits": {trait: msgspec.to_builtins(answer) for trait, answer in read.items()}})
        found.append(compare_rows(name, answers, expected))
        assert all(set(row) == {*view.traits, *view.derived} for row in expected.values())
    return found


@pytest.mark.parametrize("moved", [timedelta(0), timedelta(hours=9), timedelta(days=20)])
def test_every_row_of_the_other_views_is_what_duckdb_says(source, moved):
    found = compared_rows(source, 3, last_moment(source, weeks=3) + moved)
    assert all(one.is_equal for one in found), [one.as_dict() for one in found]
    assert [one.rows for one in found] == [2, 1, 5, 2]


@pytest.mark.parametrize("moved", [timedelta(0), timedelta(hours=9), timedelta(days=20)])
def test_every_answer_about_a_tiny_package_is_what_duckdb_says(source, moved):
    found = compared(source, 3, last_moment(source, weeks=3) + moved)
    assert found.is_equal, found.as_dict()
    assert found.values == found.rows * (len(VIEW.traits) + len(VIEW.derived))


def test_no_trait_of_the_tenant_is_left_out_of_the_comparison(source):
    truth = expected_profiles(source, weeks=3, as_of=datetime(2017, 2, 9, tzinfo=UTC))["1"]
    assert set(truth.names) == {*VIEW.traits, *VIEW.derived}
    assert len(truth.names) >= 45
