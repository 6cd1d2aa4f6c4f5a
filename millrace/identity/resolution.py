"""Who is one person: merged edges, the tenant's rules and decisions in, a person for each node and a verdict on each edge out. Batch and explain call it.

A pure function of the set of edges: neither their order nor how often a row comes matters. The verdicts are those of verdicts.py, on nodes as numbers; ids,
hints and first sights come on top.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.identity.decisions import UNDECIDED, Decisions
from millrace.identity.node_codes import codes_of
from millrace.identity.nodes import person_id
from millrace.identity.rules import Rules
from millrace.identity.verdicts import REASONS, judge
from millrace.tables.catalogue import NODES
from millrace.tables.positions import ages_of

EVIDENCE = ("a", "b", "hint_a", "hint_b", "first_seen")
"""The columns of tables.EDGES that a resolution needs."""


class Resolution(NamedTuple):
    """Rows of tables.NODES, sorted by node, and for each row of the edges the reason why it is refused; null for one that joins."""

    nodes: pa.Table
    refused: pa.Array


def resolve(edges: pa.Table, rules: Rules, decisions: Decisions = UNDECIDED, crowded: frozenset[str] = frozenset()) -> Resolution:
    """Persons and verdicts. In: the columns ``EVIDENCE``; ``crowded``: nodes that are so by edges that are not given. The anchor of a person is the member with the smallest
    (first_seen, node), refused edges included: a person's id does not depend on what he was joined with later, unless it was older."""
    if not len(edges):
        return Resolution(NODES.empty_table(), pa.array([], pa.string()))
    names, codes = codes_of(pa.chunked_array([*edges["a"].chunks, *edges["b"].chunks]))
    left, right = np.split(codes, 2)
    hints = pa.chunked_array([*edges["hint_a"].chunks, *edges["hint_b"].chunks])
    age, position = ages_of(edges["first_seen"].combine_chunks())
    with ThreadPoolExecutor(1) as beside:
        smallest = beside.submit(_smallest_hints, hints, codes, len(names))
        found = judge(names, (left, right, age), rules, decisions, crowded)
        first = np.full(len(names), np.iinfo(np.int64).max)
        np.minimum.at(first, left, age)
        np.minimum.at(first, right, age)
    anchor = _oldest(found.person, first)
    ids = _person_ids(names.take(pa.array(anchor)))
    person = component = ids.take(pa.array(found.person))
    if not np.array_equal(found.component, found.person):
        component = ids.take(pa.array(found.person[_oldest(found.component, first)][found.component]))
    columns = {
        "node": names, "person_id": person, "component": component, "isolated": _named(found.isolated),
        "hint": smallest.result(), "first_seen": position(first), "linked": pa.array(found.linked, mask=found.linked == 0),
    }  # fmt: skip
    return Resolution(pa.Table.from_arrays([columns[name] for name in NODES.names], schema=NODES), _named(found.refused))


def _oldest(labels: np.ndarray, first: np.ndarray) -> np.ndarray:
    """For each label the one of its nodes with the smallest (first, number)."""
    earliest = np.full(int(labels.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(earliest, labels, first)
    of_that_age = np.flatnonzero(first == earliest[labels])[::-1]
    found = np.empty(len(earliest), dtype=np.int64)
    found[labels[of_that_age]] = of_that_age
    return found


def _person_ids(anchors: pa.Array) -> pa.Array:
    return pa.array([person_id(anchor) for anchor in anchors.to_pylist()], pa.string())


def _smallest_hints(hints: pa.ChunkedArray, codes: np.ndarray, count: int) -> pa.Array:
    """One hint for each node, the smallest when rows disagree."""
    encoded = hints.dictionary_encode()
    kinds = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.string())
    order = pc.array_sort_indices(kinds).to_numpy()
    rank = np.full(len(kinds) + 1, len(kinds))
    rank[order] = np.arange(len(kinds))
    numbers = pa.chunked_array([chunk.indices for chunk in encoded.chunks], pa.int32())
    smallest = np.full(count, len(kinds))
    np.minimum.at(smallest, codes, rank[pc.fill_null(numbers, len(kinds)).to_numpy()])
    return kinds.take(pa.array(order)).take(pa.array(smallest, mask=smallest == len(kinds)))


def _named(reasons: np.ndarray) -> pa.Array:
    return pa.array(REASONS, pa.string()).take(pa.array(reasons))
