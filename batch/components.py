"""Persons from edges: connected components in the driver. Edges in (Arrow), one row a node with its person out; batch/build.py calls it."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from millrace.identity import person_id
from millrace.tables import NODES, POSITION


def components(edges: pa.Table) -> pa.Table:
    """node, person_id, hint, first_seen (log position), sorted by node. The anchor of a person is the member with the smallest
    (first_seen, node): it does not depend on the order of the edges, and a later edge can only replace it by an older one."""
    if not len(edges):
        return NODES.empty_table()
    ends = pa.chunked_array([*edges["a"].chunks, *edges["b"].chunks])
    names = pc.unique(ends).sort()
    codes = pc.index_in(ends, value_set=names).to_numpy().astype(np.int64)
    left, right = np.split(codes, 2)
    _, label = connected_components(coo_matrix((np.ones(len(left), dtype=np.int8), (left, right)), shape=(len(names), len(names))), directed=False)
    rank, positions = _ranked_positions(edges["first_seen"].combine_chunks())
    first = np.full(len(names), len(positions), dtype=np.int64)
    np.minimum.at(first, codes, np.r_[rank, rank])
    by_age = np.lexsort((np.arange(len(names)), first, label))
    anchors = by_age[np.flatnonzero(np.r_[True, label[by_age][1:] != label[by_age][:-1]])]
    persons = np.empty(len(anchors), dtype=object)
    persons[label[anchors]] = [person_id(names[int(anchor)].as_py()) for anchor in anchors]
    hints = pa.chunked_array([*edges["hint_a"].chunks, *edges["hint_b"].chunks])
    seen_at = np.empty(len(names), dtype=np.int64)
    seen_at[codes[::-1]] = np.arange(len(codes))[::-1]
    ids = pa.array(persons[label], pa.string())
    hint = hints.take(pa.array(seen_at)).combine_chunks()
    return pa.Table.from_arrays([names, ids, ids, pa.nulls(len(names), pa.string()), hint, positions.take(pa.array(first))], schema=NODES)


def _ranked_positions(first_seen: pa.StructArray) -> tuple[np.ndarray, pa.StructArray]:
    """Rank of each edge's position among the distinct ones, and those in order: positions of one event are equal and must rank equal."""
    fields = [first_seen.field(field.name).to_numpy() for field in POSITION]
    order = np.lexsort(fields[::-1])
    changes = np.logical_or.reduce([np.r_[True, field[order][1:] != field[order][:-1]] for field in fields])
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.cumsum(changes) - 1
    return rank, first_seen.take(pa.array(order[changes]))
