"""Partitions of a frame as Arrow tables: how a kernel from table to table runs in ``mapInArrow``. The Spark engine and the features wrap their kernels so."""

from collections.abc import Callable, Iterator

import pyarrow as pa

Kernel = Callable[[pa.Table], pa.Table]


def whole(kernel: Kernel) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A partition as one table through the kernel."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        if found := list(batches):
            yield from kernel(pa.Table.from_batches(found)).to_batches(max_chunksize=50_000)

    return run


def each(kernel: Kernel) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Each batch of a partition through the kernel."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from kernel(pa.Table.from_batches([batch])).to_batches()

    return run


def slices(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.Table]:
    """Tables of at least ``rows`` rows, the last one perhaps with fewer."""
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(map(len, waiting)) >= rows:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)
