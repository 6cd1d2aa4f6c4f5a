"""Kafka records as standard events: the verdict, the reason and every field against the oracle, for all records of one Spark job."""

from datetime import datetime
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from millrace.columns.events import standardize_records
from millrace.columns.fold import value_columns, value_paths
from millrace.fold import value_column
from millrace.identifiers import gather_identifiers, is_flat
from tests import tiers
from tests.columns.records import NOW, SCHEMA, as_frame, damaged, hand_picked, numbers, sound
from tests.laws.histories import SECRET, TRAITS, dedup_key
from tests.laws.oracle import Record, judge, typed
from tests.laws.product import view_of
from tests.tiers import SEED

pytestmark = pytest.mark.spark
VIEW = view_of(TRAITS)
REASONS = {
    "invalid_utf8", "malformed_json", "missing_type", "unknown_type", "missing_message_id", "missing_identifier", "missing_event_name", "bad_properties",
    "bad_timestamp", "event_time_out_of_range", "identifier_too_long",
}  # fmt: skip
RECORDS = [*hand_picked(), *damaged(tiers.RECORDS, SEED), *numbers(400, SEED)]
KEPT = ("type", "name", "source", "message_id", "dedup_key")


@pytest.fixture(scope="module")
def rows(spark) -> list[dict[str, Any]]:
    """What Spark makes of every record, in the order of RECORDS: one job."""
    standard = standardize_records(as_frame(spark, RECORDS), paths=value_paths({"person": VIEW.states}), secret=SECRET)
    event_time = F.unix_micros("event_time").alias("event_time")  # of a rejected row it may lie beyond what Python's datetime holds
    identifiers = filter(is_flat, standard.columns)
    found = standard.select("partition", "offset", "reason", *identifiers, *KEPT, event_time, *value_columns(VIEW.states)).toArrow()
    found = gather_identifiers(found).to_pylist()
    by_place = {(row["partition"], row["offset"]): row for row in found}
    assert len(found) == len(by_place) == len(RECORDS)
    return [by_place[record.partition, record.offset] for record in RECORDS]


def verdict_of(record: Record) -> str | None:
    found = judge(record, SECRET)
    return found if isinstance(found, str) else None


def shown(record: Record) -> str:
    value = record.value
    return repr(value if value is None or len(value) < 300 else value[:150] + b" ... " + value[-100:])


def test_every_record_gets_the_verdict_and_the_reason_of_the_oracle(rows):
    wrong = [
        f"{row['reason']} instead of {verdict_of(record)}: {shown(record)}"
        for record, row in zip(RECORDS, rows, strict=True)
        if row["reason"] != verdict_of(record)
    ]
    assert not wrong, "\n" + "\n".join(wrong)


def test_the_records_reach_every_reason():
    assert {verdict_of(record) for record in RECORDS} == REASONS | {None}


def test_every_accepted_event_has_the_fields_the_oracle_reads(rows):
    wrong = []
    for record, row in zip(RECORDS, rows, strict=True):
        event = judge(record, SECRET)
        if isinstance(event, str) or row["reason"] is not None:
            continue
        expected = {name: getattr(event, name) for name in ("type", "name", "source", "message_id", "event_time")} | {"dedup_key": dedup_key(event)}
        found = {name: row[name] for name in expected}
        if found != expected:
            wrong.append(f"{found} instead of {expected}: {shown(record)}")
        if (nodes := [one["node"] for one in row["identifiers"]]) != list(event.nodes):
            wrong.append(f"{nodes} instead of {event.nodes}: {shown(record)}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_value_is_the_one_the_oracle_reads(rows):
    wrong = []
    specs = {(state.value, state.value_type) for state in VIEW.states if state.value and "." in state.value}
    for record, row in zip(RECORDS, rows, strict=True):
        event = judge(record, SECRET)
        if isinstance(event, str) or row["reason"] is not None:
            continue
        for path, kind in specs:
            value, expected = row[value_column(path, kind)], typed(event, path, kind)
            value = value if value is None or kind == "string" else int(value.scaleb(9))
            if value != expected:
                wrong.append(f"{path} {kind}: {value!r:.80} instead of {expected!r:.80}: {shown(record)}")
    assert not wrong, "\n" + "\n".join(wrong)


def test_no_hint_gives_away_more_than_two_ends_of_an_identifier(rows):
    hints = {one["hint"] for row in rows for one in row["identifiers"]}
    assert all("•••" in hint for hint in hints)
    assert max(len(hint.partition("@")[0]) for hint in hints) <= 7


def test_rows_survive_arrow(rows):
    assert pa.array([row["identifiers"] for row in rows]).null_count == 0


def test_two_keys_that_differ_only_in_their_case_are_two_values(spark):
    """A site that moves from one spelling to the other sends both for a while."""
    view = view_of({"new": {"op": "sum", "value": "properties.revenue"}, "old": {"op": "sum", "value": "properties.Revenue"}})
    record = Record(b'{"type":"track","messageId":"m","userId":"u","event":"x","properties":{"Revenue":1,"revenue":2}}', 0, 0, NOW)
    standard = standardize_records(as_frame(spark, [record]), paths=value_paths({"person": view.states}), secret=SECRET)
    (row,) = standard.select(*value_columns(view.states)).toArrow().to_pylist()
    assert [int(row[value_column(f"properties.{key}", "number")]) for key in ("Revenue", "revenue")] == [1, 2]


def test_a_source_header_that_is_no_utf_8_is_mended_and_stops_nothing(spark):
    headers = [("source", bytearray(b"\xff shop"))]
    frame = spark.createDataFrame([(bytearray(sound()), "t.events", 0, 0, datetime(2026, 3, 1), headers)], SCHEMA)
    (row,) = standardize_records(frame, paths=[], secret=SECRET).select("source", "reason").toArrow().to_pylist()
    assert row == {"source": "\ufffd shop", "reason": None}
