"""Merging of states, Arrow in, Arrow out: what Spark's columns/fold.merge_states does, for results that fit one process. Batch uses it in the driver."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.fold import Hops, sums
from millrace.sketches import merge_sketches
from millrace.tables import EDGES
from millrace.traits import State


def merge_rows(rows: pa.Table, states: Hops) -> pa.Table:
    """One row per (key, hop, hop_start), in that order, from any number of partial rows; null is the zero."""
    if not len(rows):
        return rows
    ordered = rows.combine_chunks().sort_by([("key", "ascending"), ("hop", "ascending"), ("hop_start", "ascending")]).combine_chunks()
    starts = _starts(
        [ordered["key"].combine_chunks().dictionary_encode().indices, ordered["hop"].combine_chunks(), ordered["hop_start"].combine_chunks().cast(pa.int64())]
    )
    if len(starts) == len(ordered):
        return ordered
    group = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(ordered)]))
    keys = ordered.select(["key", "hop", "hop_start"]).take(pa.array(starts))
    columns = [_merged(state, ordered[state.name].combine_chunks(), group, len(starts)) for state in states]
    return pa.Table.from_arrays([*keys.columns, *columns], names=["key", "hop", "hop_start", *(state.name for state in states)])


def merge_edges(rows: pa.Table) -> pa.Table:
    """One row per pair (a, b), in that order, from any number of partial rows."""
    if not len(rows):
        return rows
    position = [pc.struct_field(rows["first_seen"], name) for name in ("epoch", "partition", "offset")]
    keyed = rows.append_column("p0", position[0]).append_column("p1", position[1]).append_column("p2", position[2])
    ordered = keyed.sort_by([(name, "ascending") for name in ("a", "b", "p0", "p1", "p2")]).combine_chunks()
    starts = _starts([ordered[name].combine_chunks().dictionary_encode().indices for name in ("a", "b")])
    first = ordered.take(pa.array(starts))
    times = {name: ordered[name].combine_chunks().cast(pa.int64()).to_numpy() for name in ("first_at", "last_at", "seen_count")}
    folded = {
        "first_at": np.minimum.reduceat(times["first_at"], starts),
        "last_at": np.maximum.reduceat(times["last_at"], starts),
        "seen_count": np.add.reduceat(times["seen_count"], starts),
    }
    columns = [pa.array(folded[field.name]).cast(field.type) if field.name in folded else first[field.name].combine_chunks() for field in EDGES]
    return pa.Table.from_arrays(columns, schema=EDGES)


def _starts(keys: list[pa.Array]) -> np.ndarray:
    """First row of each run of equal keys."""
    changed = np.zeros(len(keys[0]), dtype=bool)
    changed[0] = True
    for key in keys:
        values = key.to_numpy()
        changed[1:] |= values[1:] != values[:-1]
    return np.flatnonzero(changed)


def _merged(state: State, values: pa.Array, group: np.ndarray, groups: int) -> pa.Array:
    """Fold of a state's values in each group; null for groups without one."""
    rows = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    if not len(rows):
        return pa.nulls(groups, values.type)
    present, of = values.take(pa.array(rows)), group[rows]
    starts = np.flatnonzero(np.r_[True, of[1:] != of[:-1]])
    if len(starts) == len(rows):
        found = present
    elif state.kind == "count":
        found = pa.array(np.add.reduceat(present.to_numpy(), starts), values.type)
    elif state.kind == "sum":
        found = sums(present, starts)
    elif state.kind == "distinct":
        ends = np.r_[starts[1:], len(rows)]
        found = pa.array(
            [present[int(a)].as_py() if b - a == 1 else merge_sketches(present[int(a) : int(b)].to_pylist()) for a, b in zip(starts, ends, strict=True)],
            values.type,
        )
    else:
        ranks = _ranks(state, present)
        order = np.lexsort((ranks, of))
        chosen = order[starts] if state.kind in ("min", "first") else order[np.r_[starts[1:], len(rows)] - 1]
        found = present.take(pa.array(chosen))
    position = np.full(groups, -1)
    position[of[starts]] = np.arange(len(starts))
    return found.take(pa.array(position, mask=position < 0))


def _ranks(state: State, values: pa.Array) -> np.ndarray:
    """Order of the values among themselves; of first and last by (time, partition, offset)."""
    if state.kind in ("min", "max"):
        return pc.rank(values, tiebreaker="dense").to_numpy()
    at, partition, offset = (values.field(name) for name in ("at", "partition", "offset"))
    order = np.lexsort((offset.to_numpy(), partition.to_numpy(), at.cast(pa.int64()).to_numpy()))
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[order] = np.arange(len(order))
    return ranks
