"""The states of bounded.py in Arrow: from elements and the group each belongs to, to one list a group. The fold (events as elements) and batch/merging.py call it.

Groups are numbers that ascend; every group that is given has an element.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.traits.algebra import HALF, NUMBER_TYPE
from millrace.traits.bounded import BOUND, bucket

COUNT = pa.int64()


def counted(values: pa.Array, counts: np.ndarray, group: np.ndarray, *, is_spread: bool) -> pa.Array:
    """Counts or a spread of each group from values, null where a part has come to its bound already, and how often each stands for."""
    values, counts, group = _added(values, counts, group)
    rounded = np.isin(group, np.r_[group[~_valid(values)], _too_many(group)])
    if rounded.any():
        there = np.flatnonzero(rounded)
        parts = (values.take(pa.array(there)), counts[there], group[there])
        shorter = _buckets(*parts) if is_spread else _totals(*parts)
        kept = np.flatnonzero(~rounded)
        values = pa.concat_arrays([values.take(pa.array(kept)), shorter[0]])
        counts, group = np.r_[counts[kept], shorter[1]], np.r_[group[kept], shorter[2]]
        order = np.argsort(group, kind="stable")
        values, counts, group = values.take(pa.array(order)), counts[order], group[order]
    entries = pa.StructArray.from_arrays([values, pa.array(counts, COUNT)], fields=[pa.field("value", values.type), pa.field("count", COUNT)])
    return _lists(entries, group)


def latest(times: pa.Array, group: np.ndarray) -> pa.Array:
    """The latest BOUND + 1 times of each group in ascending order."""
    numbers = times.cast(pa.int64()).to_numpy(zero_copy_only=False)
    order = np.lexsort((numbers, group))
    group = group[order]
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    ends = np.repeat(np.r_[starts[1:], len(group)], np.diff(np.r_[starts, len(group)]))
    kept = np.flatnonzero(ends - np.arange(len(group)) <= BOUND + 1)
    return _lists(pa.array(numbers[order][kept], pa.int64()).cast(times.type), group[kept])


def distinct_days(days: np.ndarray, group: np.ndarray) -> pa.Array:
    """The days of each group, once each, in ascending order."""
    order = np.lexsort((days, group))
    days, group = days[order], group[order]
    kept = np.r_[True, (days[1:] != days[:-1]) | (group[1:] != group[:-1])]
    return _lists(pa.array(days[kept], pa.int32()), group[kept])


def square_parts(values: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """High and low halves of scaled values, as Python integers."""
    words = np.frombuffer(values.cast(NUMBER_TYPE).buffers()[1], dtype=np.int64).reshape(-1, 2)[values.offset : values.offset + len(values)]
    exact = words[:, 1].astype(object) * (1 << 64) + words[:, 0].astype(np.uint64).astype(object)
    return exact // HALF, exact % HALF


def _lists(elements: pa.Array, group: np.ndarray) -> pa.Array:
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    return pa.ListArray.from_arrays(pa.array(np.r_[starts, len(group)], pa.int32()), elements)


def _added(values: pa.Array, counts: np.ndarray, group: np.ndarray) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """Each value of a group once, in order of group and value (null first), with its counts added up."""
    encoded = values.dictionary_encode()
    by_value = pc.sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(by_value) + 1, dtype=np.int64)
    rank[by_value] = np.arange(len(by_value)) + 1
    rank[-1] = 0
    codes = rank[pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)]
    composite = group * (len(by_value) + 1) + codes
    order = np.argsort(composite, kind="stable")
    composite = composite[order]
    starts = np.flatnonzero(np.r_[True, composite[1:] != composite[:-1]])
    totals = np.add.reduceat(counts[order], starts)
    first = order[starts]
    return values.take(pa.array(first)), totals, group[first]


def _valid(values: pa.Array) -> np.ndarray:
    return values.is_valid().to_numpy(zero_copy_only=False)


def _too_many(group: np.ndarray) -> np.ndarray:
    groups, sizes = np.unique(group, return_counts=True)
    return groups[sizes > BOUND]


def _totals(values: pa.Array, counts: np.ndarray, group: np.ndarray) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """Of each group only how many events there are."""
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    return pa.nulls(len(starts), values.type), np.add.reduceat(counts, starts), group[starts]


def _buckets(values: pa.Array, counts: np.ndarray, group: np.ndarray) -> tuple[pa.Array, np.ndarray, np.ndarray]:
    """The numbers of each group in buckets, after an entry that says so."""
    there = np.flatnonzero(_valid(values))
    high, low = square_parts(values.take(pa.array(there)))
    words = b"".join(bucket(number).to_bytes(16, "little", signed=True) for number in (high * HALF + low).tolist())
    rounded = pa.Array.from_buffers(NUMBER_TYPE, len(there), [None, pa.py_buffer(words)]).cast(values.type)
    numbers, totals, groups = _added(rounded, counts[there], group[there])
    marked = np.unique(group)
    order = np.argsort(np.r_[marked, groups], kind="stable")
    everything = pa.concat_arrays([pa.nulls(len(marked), values.type), numbers])
    return everything.take(pa.array(order)), np.r_[np.zeros(len(marked), dtype=np.int64), totals][order], np.r_[marked, groups][order]
