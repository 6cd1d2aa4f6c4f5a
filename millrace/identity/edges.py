"""Edges of counted events, Arrow in, Arrow out: which identifiers were seen together. Shared by both layers like the fold, with what is asked of edges everywhere."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.events.terms import without
from millrace.tables.catalogue import EDGES, POSITION


def edges_of(events: pa.Table, quiet: Iterable[str] = ()) -> pa.Table:
    """One row per pair (a ≤ b): owner with each other identifier; the self-edge of a lone one, so that every node has a row.

    In: identifiers (owner first), event_time, epoch, partition, offset. Out: the columns of tables.EDGES; ``first_seen`` is the log position
    (epoch, partition, offset) of the first event that shows the pair. ``quiet``: sources whose events show nothing: what has a term joins nobody (ADR 0028).
    """
    events = without(events, quiet)
    if not len(events):
        return EDGES.empty_table()
    ordered = events.select(["identifiers", "event_time", *POSITION.names]).sort_by([(name, "ascending") for name in POSITION.names]).combine_chunks()
    lists = ordered["identifiers"].combine_chunks()
    offsets = lists.offsets.to_numpy()
    sizes = np.diff(offsets)
    entries = lists.values
    nodes, hints = entries.field("node"), entries.field("hint")
    event = np.repeat(np.arange(len(ordered)), np.maximum(sizes - 1, 1))
    within = np.arange(len(event)) - np.repeat(np.cumsum(np.maximum(sizes - 1, 1)) - np.maximum(sizes - 1, 1), np.maximum(sizes - 1, 1))
    owner = offsets[:-1][event]
    other = owner + np.where(sizes[event] > 1, within + 1, 0)
    codes = nodes.dictionary_encode()
    rank = np.empty(len(codes.dictionary), dtype=np.int64)
    rank[pc.array_sort_indices(codes.dictionary).to_numpy()] = np.arange(len(codes.dictionary))
    position = codes.indices.to_numpy()
    ranks = rank[position]
    left, right = np.where(ranks[owner] <= ranks[other], owner, other), np.where(ranks[owner] <= ranks[other], other, owner)
    pair = ranks[left] * len(rank) + ranks[right]
    order = np.argsort(pair, kind="stable")
    starts = np.flatnonzero(np.r_[True, pair[order][1:] != pair[order][:-1]])
    stops = np.r_[starts[1:], len(order)]
    times = ordered["event_time"].combine_chunks().cast(pa.int64()).to_numpy()[event][order]
    first = pa.array(event[order][starts])
    at = pa.StructArray.from_arrays(
        [ordered[name].combine_chunks().take(first).cast(POSITION.field(name).type) for name in ("epoch", "partition", "offset")], fields=list(POSITION)
    )
    low, high = pa.array(left[order][starts]), pa.array(right[order][starts])
    return pa.table(
        {
            "a": nodes.take(low), "b": nodes.take(high), "hint_a": hints.take(low), "hint_b": hints.take(high),
            "first_at": pa.array(np.minimum.reduceat(times, starts)).cast(EDGES.field("first_at").type),
            "last_at": pa.array(np.maximum.reduceat(times, starts)).cast(EDGES.field("last_at").type),
            "seen_count": pa.array(stops - starts, pa.int64()), "first_seen": at,
        }
    )  # fmt: skip


def ends(*edges: pa.Table) -> pa.Array:
    """The nodes of edges, each once."""
    return pc.unique(pa.chunked_array([chunk for rows in edges for name in ("a", "b") for chunk in rows[name].chunks], pa.string()))


def touches(edges: pa.Table, nodes: pa.Array) -> pa.ChunkedArray:
    """Which edges have one of the nodes."""
    return pc.or_(pc.is_in(edges["a"], value_set=nodes), pc.is_in(edges["b"], value_set=nodes))
