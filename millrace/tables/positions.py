"""Positions in the log, (epoch, partition, offset), as one integer each that sorts as they do. resolution.py compares first sights by it."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from millrace.tables.catalogue import POSITION

LARGEST = np.iinfo(np.int64).max


def ages_of(positions: pa.StructArray) -> tuple[np.ndarray, Callable[[np.ndarray], pa.StructArray]]:
    """An integer for each position, equal for equal ones, smaller for earlier ones; and the way back from such integers."""
    fields = [positions.field(field.name).to_numpy().astype(np.int64) for field in POSITION]
    spans = [int(field.max()) + 1 for field in fields]
    if min(int(field.min()) for field in fields) < 0 or spans[0] * spans[1] * spans[2] > LARGEST:
        return _ranks(fields)
    _, partitions, offsets = spans

    def back(ages: np.ndarray) -> pa.StructArray:
        rest, offset = np.divmod(ages, offsets)
        return _positions([*np.divmod(rest, partitions), offset])

    return (fields[0] * partitions + fields[1]) * offsets + fields[2], back


def _ranks(fields: list[np.ndarray]) -> tuple[np.ndarray, Callable[[np.ndarray], pa.StructArray]]:
    """The same by sorting, for numbers too large to be packed."""
    order = np.lexsort(fields[::-1])
    changes = np.logical_or.reduce([np.r_[True, field[order][1:] != field[order][:-1]] for field in fields])
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.cumsum(changes) - 1
    distinct = [field[order[changes]] for field in fields]
    return rank, lambda ages: _positions([field[ages] for field in distinct])


def _positions(fields: list[np.ndarray]) -> pa.StructArray:
    return pa.StructArray.from_arrays([pa.array(values).cast(field.type) for values, field in zip(fields, POSITION, strict=True)], fields=list(POSITION))
