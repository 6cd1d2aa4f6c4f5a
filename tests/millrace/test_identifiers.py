"""From flat columns to the identifiers of an event."""

import pyarrow as pa

from millrace.identifiers import gather_identifiers, hint_column, node_column
from millrace.tables import IDENTIFIER


def flat(*places: list[str | None]) -> pa.Table:
    rows = len(places[0])
    columns = {"row": pa.array(range(rows))}
    for number, nodes in enumerate(places):
        columns[node_column(number)] = pa.array(nodes, pa.string())
        columns[hint_column(number)] = pa.array([node and f"hint of {node}" for node in nodes], pa.string())
    return pa.table(columns)


def nodes_of(rows: pa.Table) -> list[list[str]]:
    assert all(one["hint"] == f"hint of {one['node']}" for found in rows["identifiers"].to_pylist() for one in found)
    return [[one["node"] for one in found] for found in rows["identifiers"].to_pylist()]


def test_places_come_in_order_without_the_empty_ones_and_the_first_owns():
    rows = gather_identifiers(flat(["a", None, None, "d"], [None, "b", None, "e"], ["c", "f", None, "g"]))
    assert nodes_of(rows) == [["a", "c"], ["b", "f"], [], ["d", "e", "g"]]
    assert rows["node"].to_pylist() == ["a", "b", None, "d"]
    assert rows.column_names == ["row", "identifiers", "node"]


def test_a_node_that_stands_in_two_places_is_there_once_at_the_first():
    assert nodes_of(gather_identifiers(flat(["a", "a", None], ["b", "a", "c"], ["a", "a", "c"]))) == [["a", "b"], ["a"], ["c"]]


def test_no_rows_and_rows_without_identifiers_have_the_type_of_the_log():
    for rows in (gather_identifiers(flat([], [])), gather_identifiers(flat([None], [None]))):
        assert rows.schema.field("identifiers").type == pa.list_(IDENTIFIER)
        assert rows["node"].null_count == len(rows)
