"""Edges of events: the owner with each other identifier, and every node somewhere."""

from datetime import UTC, datetime

import pyarrow as pa

from millrace.identity.edges import edges_of
from millrace.tables.catalogue import EDGES, IDENTIFIER, TIME


def events(*rows: tuple[int, int, int, int, list[str]]) -> pa.Table:
    """Rows of (epoch, partition, offset, second of the event, nodes)."""
    return pa.table(
        {
            "epoch": pa.array([row[0] for row in rows], pa.int64()), "partition": pa.array([row[1] for row in rows], pa.int32()),
            "offset": pa.array([row[2] for row in rows], pa.int64()), "event_time": pa.array([row[3] * 1_000_000 for row in rows], pa.int64()).cast(TIME),
            "identifiers": pa.array([[{"node": node, "hint": f"•{node}"} for node in row[4]] for row in rows], pa.list_(IDENTIFIER)),
        }
    )  # fmt: skip


def pairs(*rows: tuple[int, int, int, int, list[str]]) -> dict[tuple[str, str], int]:
    return {(row["a"], row["b"]): row["seen_count"] for row in edges_of(events(*rows)).to_pylist()}


def test_an_owner_is_joined_with_each_other_identifier_and_those_not_with_each_other():
    assert pairs((1, 0, 0, 5, ["u", "e", "a"])) == {("e", "u"): 1, ("a", "u"): 1}


def test_a_lone_identifier_has_an_edge_to_itself():
    assert pairs((1, 0, 0, 5, ["u"]), (1, 0, 1, 5, ["u"]), (1, 0, 2, 5, ["v"])) == {("u", "u"): 2, ("v", "v"): 1}


def test_a_pair_is_one_row_whoever_owns_the_event():
    assert pairs((1, 0, 0, 5, ["u", "a"]), (1, 0, 1, 6, ["a", "u"])) == {("a", "u"): 2}


def test_a_late_event_moves_first_at_and_leaves_first_seen():
    (row,) = edges_of(events((2, 0, 7, 50, ["u", "a"]), (2, 1, 3, 10, ["u", "a"]), (1, 1, 9, 70, ["u", "a"]))).to_pylist()
    assert row["first_seen"] == {"epoch": 1, "partition": 1, "offset": 9}
    assert (row["first_at"], row["last_at"]) == (datetime.fromtimestamp(10, UTC), datetime.fromtimestamp(70, UTC))


def test_hints_go_with_their_nodes():
    (row,) = edges_of(events((1, 0, 0, 5, ["u", "a"]))).to_pylist()
    assert (row["hint_a"], row["hint_b"]) == ("•a", "•u")


def test_no_events_make_no_edges_of_the_same_shape():
    assert edges_of(events()).schema == EDGES
    assert edges_of(events((1, 0, 0, 5, ["u"]))).schema.names == EDGES.names
