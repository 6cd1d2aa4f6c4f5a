"""Lines of events: a row each for what reads them, one for the rest; views that read the lines of one list."""

from decimal import Decimal

import pyarrow as pa
import pytest
from pydantic import ValidationError

from millrace.tables.catalogue import TIME
from millrace.traits.fold import fold_events, value_column
from millrace.traits.lines import PLACE, with_lines
from millrace.traits.views import View

PRICE, ITEM = "properties.products[].price", "properties.products[].id"
TRAITS = {
    "orders": {"op": "count"}, "spend": {"op": "sum", "value": PRICE}, "dear": {"op": "count", "where": {PRICE: {"gte": 5}}}, "first": {"op": "first", "value": ITEM},
    "last": {"op": "last", "value": ITEM}, "lines": {"op": "count", "where": {ITEM: {"exists": True}}},
}  # fmt: skip


def events() -> pa.Table:
    """Three lines, none, no list, one."""
    number = pa.list_(pa.decimal128(24, 9))
    return pa.table(
        {
            "node": ["u"] * 4, "event_time": pa.array([0, 0, 1, 2], TIME), "partition": pa.array([0] * 4, pa.int32()), "offset": pa.array([0, 1, 2, 3], pa.int64()),
            "type": ["track"] * 4, "name": ["x"] * 4,
            value_column(PRICE, "number"): pa.array([[Decimal(1), None, Decimal(7)], [], None, [Decimal(5)]], number),
            value_column(ITEM, "string"): pa.array([["a", "b", "a"], [], None, ["c"]]),
        }
    )  # fmt: skip


def states_of(key: str | dict[str, str]) -> dict[str, dict]:
    view = View.model_validate({"key": key, "traits": TRAITS})
    rows = fold_events(events(), view.states, view.keyed)
    names = {name: trait.states[0].name for name, trait in view.traits.items()}
    found = {row["key"]: {name: row[state] for name, state in names.items()} for row in rows.to_pylist()}
    return {key: {name: value["value"] if isinstance(value, dict) else value for name, value in row.items()} for key, row in found.items()}


def test_what_reads_lines_counts_lines_and_the_rest_counts_events():
    assert states_of("node") == {"u": {"orders": 4, "spend": Decimal(13), "dear": 2, "first": "a", "last": "c", "lines": 4}}


def test_a_key_of_lines_has_each_line_as_an_occurrence():
    assert states_of({"item": ITEM}) == {
        "a": {"orders": 2, "spend": Decimal(8), "dear": 1, "first": "a", "last": "a", "lines": 2},
        "b": {"orders": 1, "spend": None, "dear": None, "first": "b", "last": "b", "lines": 1},
        "c": {"orders": 1, "spend": Decimal(5), "dear": 1, "first": "c", "last": "c", "lines": 1},
    }


def test_a_slice_of_a_table_has_its_own_lines():
    column = value_column(ITEM, "string")
    found = with_lines(events().slice(1), [column, value_column(PRICE, "number")])
    assert found.select([PLACE, column]).to_pylist() == [{PLACE: -1, column: None}, {PLACE: -1, column: None}, {PLACE: 0, column: "c"}]


@pytest.mark.parametrize(
    ("view", "told"),
    [
        ({"key": "node", "traits": {"a": {"op": "sum", "value": PRICE}, "b": {"op": "sum", "value": "context.lines[].price"}}}, "reads the lines of one list"),
        ({"key": {"x": "context.lines[].id"}, "traits": {"a": {"op": "sum", "value": PRICE}}}, "context.lines and properties.products"),
        ({"key": "node", "traits": {"a": {"op": "sum", "value": "properties.products[]"}}}, "is not a path"),
        ({"key": "node", "traits": {"a": {"op": "sum", "value": "properties[].price"}}}, "is not a path"),
        ({"key": "node", "traits": {"a": {"op": "sum", "value": "properties.a[].b[].price"}}}, "is not a path"),
        ({"key": "node", "traits": {"a": {"op": "count", "where": {"properties.products[]": "x"}}}}, "is not a path"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(view, told):
    with pytest.raises(ValidationError, match=told):
        View.model_validate(view)
