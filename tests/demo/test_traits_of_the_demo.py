"""Every trait of the demo's tenant, from its messages to the answer, equals what DuckDB computes from the files: speed and batch mixed, no process started."""

from datetime import UTC, datetime, timedelta

import duckdb
import msgspec
import pyarrow as pa
import pytest

from millrace.definitions import load_definitions
from millrace.demo.comparison import Comparison, compare
from millrace.demo.events import events_of_week, last_moment
from millrace.demo.oracle import expected_profiles
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


def compared(source: duckdb.DuckDBPyConnection, weeks: int, as_of: datetime) -> Comparison:
    layout, standardizer = Layout(VIEW), Standardizer(VIEW.states, SECRET)
    batch: dict[str, bytes] = {}
    speed: dict[str, bytes] = {}
    for week in range(1, weeks + 1):
        events = events_of_week(source, week)
        records = {
            "partition": pa.array([0] * len(events), pa.int32()), "offset": pa.array([week * 10**6 + number for number in range(len(events))], pa.int64()),
            "received_at": pa.array([event.event_time + timedelta(seconds=1) for event in events], TIME), "source": pa.array(["http"] * len(events)),
            "payload": pa.array([event.message.encode() for event in events], pa.binary()),
        }  # fmt: skip
        rows = fold_events(standardizer.standardize(pa.table(records)), VIEW.states)
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


@pytest.mark.parametrize("moved", [timedelta(0), timedelta(hours=9), timedelta(days=20)])
def test_every_answer_about_a_tiny_package_is_what_duckdb_says(source, moved):
    found = compared(source, 3, last_moment(source, weeks=3) + moved)
    assert found.is_equal, found.as_dict()
    assert found.values == found.rows * (len(VIEW.traits) + len(VIEW.derived))


def test_no_trait_of_the_tenant_is_left_out_of_the_comparison(source):
    truth = expected_profiles(source, weeks=3, as_of=datetime(2017, 2, 9, tzinfo=UTC))["1"]
    assert set(truth.names) == {*VIEW.traits, *VIEW.derived}
    assert len(truth.names) >= 45
