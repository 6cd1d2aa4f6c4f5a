"""Who is one person: merged edges and the tenant's rules in, a person for each node and a verdict on each edge out. Batch and the store call it.

A pure function of the set of edges: neither their order nor how often a row comes matters. Blocked nodes join nobody; a value that is linked to
several values of a unique namespace is shared and joins nobody; connected components of what is left are persons. Only components that break
``unique`` or ``limit`` are put together again edge by edge, in the one order of ``_replay``, and an edge that would break a rule is refused (ADR 0010).
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.identity import person_id
from millrace.identity_decisions import UNDECIDED, Decisions
from millrace.identity_rules import Rules
from millrace.positions import ages_of
from millrace.tables import NODES
from millrace.verdicts import REASONS, judge


class Resolution(NamedTuple):
    """Rows of tables.NODES, sorted by node, and for each row of the edges the reason why it is refused; null for one that joins."""

    nodes: pa.Table
    refused: pa.Array


def resolve(edges: pa.Table, rules: Rules, decisions: Decisions = UNDECIDED) -> Resolution:
    """Persons and verdicts. In: a, b, hint_a, hint_b, first_seen of tables.EDGES. The anchor of a person is the member with the smallest
    (first_seen, node), refused edges included: a person's id does not depend on what he was joined with later, unless it was older."""
    if not len(edges):
        return Resolution(NODES.empty_table(), pa.array([], pa.string()))
    ends = pa.chunked_array([*edges["a"].chunks, *edges["b"].chunks])
    names = pc.unique(ends).sort()
    codes = pc.index_in(ends, value_set=names).to_numpy().astype(np.int64)
    left, right = np.split(codes, 2)
    age, position = ages_of(edges["first_seen"].combine_chunks())
    found = judge(names, (left, right, age), rules, decisions)
    first = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(first, left, age)
    np.minimum.at(first, right, age)
    oldest_last = np.argsort(first, kind="stable")[::-1]
    anchor, head = (_last_of(labels, oldest_last) for labels in (found.person, found.component))
    ids = np.array([person_id(name) for name in names.take(pa.array(anchor)).to_pylist()], dtype=object)
    hints = pa.chunked_array([*edges["hint_a"].chunks, *edges["hint_b"].chunks])
    columns = {
        "node": names, "person_id": pa.array(ids[found.person], pa.string()), "component": pa.array(ids[found.person[head]][found.component], pa.string()),
        "isolated": _named(found.isolated), "hint": _smallest_hints(hints, codes, len(names)), "first_seen": position(first),
    }  # fmt: skip
    return Resolution(pa.Table.from_arrays([columns[name] for name in NODES.names], schema=NODES), _named(found.refused))


def _last_of(labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """For each label the last of its nodes in this order."""
    found = np.empty(int(labels.max()) + 1, dtype=np.int64)
    found[labels[order]] = order
    return found


def _smallest_hints(hints: pa.ChunkedArray, codes: np.ndarray, count: int) -> pa.Array:
    """One hint for each node, the smallest when rows disagree."""
    kinds = pc.unique(hints).drop_null().sort()
    rank = pc.fill_null(pc.index_in(hints, value_set=kinds), len(kinds)).to_numpy().astype(np.int64)
    smallest = np.full(count, len(kinds))
    np.minimum.at(smallest, codes, rank)
    return kinds.take(pa.array(smallest, mask=smallest == len(kinds)))


def _named(reasons: np.ndarray) -> pa.Array:
    return pa.array(REASONS, pa.string()).take(pa.array(reasons))
