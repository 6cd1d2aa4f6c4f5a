"""Kafka records as standard events: the verdict, the reason and every field against the oracle."""

from typing import Any

import pyarrow as pa
import pytest

from millrace.events.standard import Standardizer
from millrace.traits.fold import value_column
from tests import tiers
from tests.laws.histories import SECRET, TRAITS, dedup_key
from tests.laws.oracle import Record, judge, typed
from tests.laws.oracle_traits import lines_of
from tests.laws.product import view_of
from tests.millrace.records import NOW, as_table, damaged, hand_picked, numbers, sound
from tests.tiers import SEED

VIEW = view_of(TRAITS)
REASONS = {
    "invalid_utf8", "malformed_json", "missing_type", "unknown_type", "missing_message_id", "missing_identifier", "missing_event_name", "bad_properties",
    "bad_timestamp", "event_time_out_of_range", "identifier_too_long",
}  # fmt: skip
RECORDS = [*hand_picked(), *damaged(tiers.RECORDS, SEED), *numbers(400, SEED)]


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """What becomes of every record, in the order of RECORDS."""
    return standard_rows(RECORDS, VIEW)


def standard_rows(records: list[Record], view: Any) -> list[dict[str, Any]]:
    found = Standardizer(view.states, SECRET).standardize(as_table(records))
    times = found["event_time"].cast(pa.int64())
    return found.set_column(found.column_names.index("event_time"), "event_time", times).drop_columns(["received_at"]).to_pylist()


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
            found = row[value_column(path, kind)]
            if "[]." in path:
                value, expected = [plain(one, kind) for one in found], [typed(line, path, kind) for line in lines_of(event, path.partition("[].")[0])]
            else:
                value, expected = plain(found, kind), typed(event, path, kind)
            if value != expected:
                wrong.append(f"{path} {kind}: {value!r:.80} instead of {expected!r:.80}: {shown(record)}")
    assert not wrong, "\n" + "\n".join(wrong)


def plain(value, kind):
    return value if value is None or kind == "string" else int(value.scaleb(9))


def test_no_hint_gives_away_more_than_two_ends_of_an_identifier(rows):
    hints = {one["hint"] for row in rows for one in row["identifiers"]}
    assert all("•••" in hint for hint in hints)
    assert max(len(hint.partition("@")[0]) for hint in hints) <= 7


def test_rows_survive_arrow(rows):
    assert pa.array([row["identifiers"] for row in rows]).null_count == 0


def test_two_keys_that_differ_only_in_their_case_are_two_values():
    """A site that moves from one spelling to the other sends both for a while."""
    view = view_of({"new": {"op": "sum", "value": "properties.revenue"}, "old": {"op": "sum", "value": "properties.Revenue"}})
    record = Record(b'{"type":"track","messageId":"m","userId":"u","event":"x","properties":{"Revenue":1,"revenue":2}}', 0, 0, NOW)
    (row,) = standard_rows([record], view)
    assert [int(row[value_column(f"properties.{key}", "number")]) for key in ("Revenue", "revenue")] == [1, 2]


def test_no_records_are_no_rows():
    assert standard_rows([], VIEW) == []


def test_a_payload_is_kept_as_it_came(rows):
    assert [row["payload"] for row in rows] == [record.value for record in RECORDS]


def test_a_value_that_is_wanted_whole_and_in_part_is_both():
    view = view_of({"whole": {"op": "last", "value": "properties.product"}, "part": {"op": "last", "value": "properties.product.id"}})
    records = [Record(sound(properties={"product": product}), 0, number, NOW) for number, product in enumerate(({"id": 1.50, "x": [None, "ä"]}, "plain", [1]))]
    found = [[row[value_column(path, "string")] for path in ("properties.product", "properties.product.id")] for row in standard_rows(records, view)]
    assert found == [['{"id":1.5,"x":[null,"ä"]}', "1.5"], ["plain", None], ["[1]", None]]
