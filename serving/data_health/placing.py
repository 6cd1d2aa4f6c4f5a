"""Which window a record is of, and which windows nothing more can come into: a pure function of the log, whatever the order in which partitions are read.

A record is placed by the time the broker received it, made to rise within its partition: where the clock of a broker steps back, records count at the latest time
before. So what comes later in a partition never lies before what has come, and a window that all partitions are past is final (ADR 0027).
"""

from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa

from millrace.times import MICROS

Place = tuple[str, int]
"""Topic and partition."""
NEVER = -(2**62)
AHEAD = 300 * MICROS
"""So far a broker's clock may be ahead of the stream's; a time beyond is taken as the moment the epoch came to exist, and this."""


class Placing:
    """``latest``: how far each partition has come, in microseconds, of those that have had a record."""

    def __init__(self) -> None:
        self.latest: dict[Place, int] = {}

    def times(self, rows: pa.Table, committed_at: Callable[[int], int]) -> np.ndarray:
        """The instant each record counts at. ``rows``: topic, partition, offset, epoch, received_at of all records of whole epochs that follow those before."""
        topics, partitions, offsets = rows["topic"].combine_chunks().dictionary_encode(), rows["partition"].to_numpy(), rows["offset"].to_numpy()
        codes, names = topics.indices.to_numpy(), topics.dictionary.to_pylist()
        received = _bounded(rows["received_at"].cast(pa.int64()).to_numpy(), rows["epoch"].to_numpy(), committed_at)
        found = np.empty(len(rows), np.int64)
        for code, partition in sorted({*zip(codes.tolist(), partitions.tolist(), strict=True)}):
            chosen = np.flatnonzero((codes == code) & (partitions == partition))
            chosen = chosen[np.argsort(offsets[chosen], kind="stable")]
            place = names[code], partition
            rising = np.maximum.accumulate(np.maximum(received[chosen], self.latest.get(place, NEVER)))
            found[chosen] = rising
            self.latest[place] = int(rising[-1])
        return found

    def final_until(self, ends: Mapping[Place, int], complete: Mapping[Place, tuple[int, int]]) -> int:
        """The instant before which every record is in the log up to the ``ends`` of the ledger; NEVER when nobody can say. ``complete``: of each partition, as the
        broker said: an instant, and the offset up to which it then had records."""
        if not ends:
            return NEVER
        found = [self.latest.get(place, NEVER) for place in ends]
        for number, (place, end) in enumerate(ends.items()):
            asked_at, wanted = complete.get(place, (NEVER, end))
            if end >= wanted:
                found[number] = max(found[number], asked_at)
        unknown = [NEVER for place, (_, wanted) in complete.items() if place not in ends and wanted]
        return min([*found, *unknown])


def _bounded(received: np.ndarray, epochs: np.ndarray, committed_at: Callable[[int], int]) -> np.ndarray:
    """No later than the epoch came to exist, with some minutes for two clocks."""
    known, places = np.unique(epochs, return_inverse=True)
    limits = np.array([committed_at(epoch) + AHEAD if committed_at(epoch) else 2**62 for epoch in known.tolist()], np.int64)
    return np.minimum(received, limits[places])
