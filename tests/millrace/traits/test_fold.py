"""The fold, by literal rows: what each kind of state holds. Everything random about it is in tests/laws."""

from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from millrace.traits.fold import fold_events, value_column
from millrace.traits.views import View
from tests.laws.product import python_rows

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")


def view(**trait: str) -> View:
    return View.model_validate({"key": "node", "traits": {"it": trait}})


def events(declared: View, *rows: tuple) -> pa.Table:
    """Rows of (node, hour of the day, value), in log order; the value is what the one state reads."""
    (state, *_) = declared.states
    columns = {
        "node": pa.array([row[0] for row in rows], pa.string()),
        "event_time": pa.array([NOON.replace(hour=row[1]) for row in rows], TIME),
        "partition": pa.array([0] * len(rows), pa.int32()),
        "offset": pa.array(range(len(rows)), pa.int64()),
        "type": pa.array(["track"] * len(rows), pa.string()),
        "name": pa.array(["Order Completed"] * len(rows), pa.string()),
    }
    if state.value:
        kind = pa.string() if state.value_type == "string" else pa.decimal128(24, 9)
        columns[value_column(state.value, state.value_type)] = pa.array([row[2] for row in rows], kind)
    return pa.table(columns)


def states(declared: View, *rows: tuple) -> dict:
    """State of each (node, start hour of the tile)."""
    found = fold_events(events(declared, *rows), declared.states)
    (name,) = (state.name for state in declared.states)
    return {(row["key"], row["hop_start"].hour if row["hop"] else None): row[name] for row in found.to_pylist()}


def test_late_event_goes_to_the_tile_of_its_event_time():
    assert states(view(op="count", window="24h"), ("a", 9), ("a", 7), ("b", 9), ("a", 9)) == {("a", 9): 2, ("a", 7): 1, ("b", 9): 1}


def test_an_event_of_the_same_time_goes_by_its_offset():
    found = states(view(op="last", value="properties.x"), ("a", 9, "first"), ("a", 9, "second"))
    assert found["a", None] == {"at": NOON.replace(hour=9), "partition": 0, "offset": 1, "value": "second"}


def test_first_and_last_skip_events_without_the_value():
    assert states(view(op="first", value="properties.x"), ("a", 1, None), ("a", 2, "x"), ("a", 3, None))["a", None]["value"] == "x"
    assert states(view(op="last", value="properties.x"), ("a", 1, "x"), ("a", 2, None))["a", None]["value"] == "x"


def test_an_event_whose_value_is_unusable_touches_the_tile_and_leaves_the_zero():
    assert states(view(op="sum", value="properties.x"), ("a", 1, None), ("b", 1, Decimal(2))) == {("a", None): None, ("b", None): Decimal("2.000000000")}


@pytest.mark.parametrize(
    ("amounts", "total"),
    [
        (["-9223372036.854775808", "-9223372036.854775808"], "-18446744073.709551616"),  # the smallest number of 64 bits, twice: its size is not one of 64 bits
        (["-9223372036.854775808", "1"], "-9223372035.854775808"),
        (["9223372036.854775807", "9223372036.854775807", "0.000000001"], "18446744073.709551615"),
        (["999999999999999.999999999"] * 3, "2999999999999999.999999997"),
        (["999999999999999.999999999", "-999999999999999.999999999"], "0"),
        (["0.1", "0.2"], "0.3"),
    ],
)
def test_sums_are_exact_beyond_64_bits(amounts, total):
    rows = [("a", 1, Decimal(amount)) for amount in amounts]
    assert states(view(op="sum", value="properties.x"), *rows)["a", None] == Decimal(total)


def test_a_group_of_large_and_one_of_small_sums_do_not_disturb_each_other():
    rows = [("a", 1, Decimal("999999999999999")), ("b", 1, Decimal("0.5")), ("a", 1, Decimal("999999999999999")), ("b", 1, Decimal("-0.25"))]
    assert states(view(op="sum", value="properties.x"), *rows) == {("a", None): Decimal("1999999999999998"), ("b", None): Decimal("0.25")}


def test_smallest_and_largest_text_go_by_code_point():
    words = [("a", 1, word) for word in ("b", "B", "ä", "\U0001f34e", "\uffff", "")]
    assert states(view(op="min", value="properties.x", value_type="string"), *words)["a", None] == ""
    assert states(view(op="max", value="properties.x", value_type="string"), *words)["a", None] == "\U0001f34e"


def test_an_event_name_counts_only_on_track_calls():
    declared = view(op="count", event="Order Completed")
    table = events(declared, ("a", 1), ("b", 1))
    table = table.set_column(table.schema.get_field_index("type"), "type", pa.array(["track", "page"]))
    assert python_rows(fold_events(table, declared.states), declared.states) == {("a", 0, 0): {"count_order_completed": 1}}


def test_a_tile_holds_only_the_states_kept_for_its_hop():
    declared = View.model_validate({"key": "node", "traits": {"ever": {"op": "count"}, "spent": {"op": "sum", "value": "properties.x", "window": "2d"}}})
    table = events(View.model_validate({"key": "node", "traits": {"spent": declared.traits["spent"]}}), ("a", 1, Decimal(5)))
    found = {row["hop"]: (row["count"], row["sum_properties_x"]) for row in fold_events(table, declared.states).to_pylist()}
    assert found == {0: (1, None), 86_400: (None, Decimal(5))}
