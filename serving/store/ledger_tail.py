"""Follows the ledger: the head up to which every epoch is proven, and what the ledger says of each epoch. The store's tailing thread calls it."""

from array import array
from bisect import bisect_right

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.errors import CoverageError
from millrace.tables.catalogue import LEDGER
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import DEFAULT_SHARD, NOTHING, check_coverage
from millrace.traits.finish import MICROS
from serving.store.tail import EpochTail

_COUNTS = ("accepted", "rejected", "duplicate")
_WITH_TERM = "with_term"


class LedgerTail:
    """``head`` is the last epoch without a hole before it; ``problem`` says what is wrong after it, None when nothing is."""

    def __init__(self, tables: TenantTables) -> None:
        self.head = NOTHING
        self.problem: str | None = None
        self._tables = tables
        self.start_over()
        self._ends: dict[tuple[str, int], int] = {}
        self._sums = {name: array("q", [0]) for name in (*_COUNTS, _WITH_TERM)}
        """Sums of the counts up to each epoch: 32 bytes an epoch."""
        self._committed_at = array("q", [0])
        self._received_until = array("q", [0])
        self._hash_since: list[int] = []
        self._hashes: list[str] = []

    def start_over(self) -> None:
        """Looks at the ledger afresh, from the head on."""
        self._tail = EpochTail(self._tables, LEDGER, after=self.head)
        self._unread = True

    def poll(self) -> bool:
        """Takes in new epochs; whether the head moved. CoverageError when a file of the ledger is missing; a hole only stops the head."""
        self._unread |= self._tail.refresh()
        if not self._unread:
            return False
        rows = self._tail.rows().filter(pc.field("shard") == DEFAULT_SHARD)
        rows = rows.sort_by([("epoch", "ascending"), ("topic", "ascending"), ("partition", "ascending")])
        before = self.head
        try:
            self._accept(rows)
            self.problem = None
        except CoverageError as error:
            self.problem = str(error)
            self._accept_provable(rows)
        self._tail.taken(self.head)
        self._unread = False
        return self.head != before

    def counts(self, upto: int) -> dict[str, int]:
        """Records accepted, rejected, duplicate, and received (their sum), up to an epoch."""
        counts = {name: self._sums[name][upto] for name in _COUNTS}
        return counts | {"received": sum(counts.values())}

    def accepted(self, after: int, upto: int) -> np.ndarray:
        """Records accepted in each of the epochs after ``after`` up to ``upto``, those of sources with a term aside: each of the others leaves an edge."""
        accepted, with_term = (np.frombuffer(self._sums[name][after : upto + 1], dtype=np.int64) for name in ("accepted", _WITH_TERM))
        return np.diff(accepted - with_term)

    def committed_at(self, epoch: int) -> int:
        """When the epoch came to exist, in microseconds; 0 for no epoch."""
        return self._committed_at[epoch]

    def first_received_since(self, at: int) -> int:
        """The first epoch with a record that the broker received at ``at`` (microseconds) or later; the one after the head when there is none."""
        later = np.flatnonzero(np.frombuffer(self._received_until[1 : self.head + 1], dtype=np.int64) >= at)
        return int(later[0]) + 1 if len(later) else self.head + 1

    @property
    def ends(self) -> dict[tuple[str, int], int]:
        """End offset (exclusive) of each topic and partition at the head."""
        return dict(self._ends)

    def first_other(self, after: int, known: set[str]) -> int | None:
        """First epoch after ``after`` that was written under definitions not in ``known`` (hashes)."""
        start = max(bisect_right(self._hash_since, after + 1) - 1, 0)
        for since, found in zip(self._hash_since[start:], self._hashes[start:], strict=True):
            if found not in known and self.head > after:
                return max(since, after + 1)
        return None

    def written_since(self, definitions_hash: str) -> int | None:
        """The epoch since which the newest ones are written under these definitions; None when they are not."""
        return self._hash_since[-1] if self._hashes and self._hashes[-1] == definitions_hash else None

    def _accept_provable(self, rows: pa.Table) -> None:
        """The epochs before the first problem."""
        epochs = rows["epoch"].to_numpy()
        for epoch in np.unique(epochs).tolist():
            try:
                self._accept(rows.filter(pa.array(epochs == epoch)))
            except CoverageError:
                return

    def _accept(self, rows: pa.Table) -> None:
        if not len(rows):
            return
        self._ends = check_coverage(rows, after=self.head, ends=self._ends)
        epochs = rows["epoch"].to_numpy() - self.head - 1
        epoch_count = int(epochs[-1]) + 1
        for name in self._sums:
            counts = np.zeros(epoch_count, np.int64)
            np.add.at(counts, epochs, rows[name].fill_null(0).to_numpy())
            self._sums[name].frombytes((np.cumsum(counts) + self._sums[name][-1]).tobytes())
        received = pc.coalesce(rows["received_until"], rows["committed_at"])
        for column, kept in ((rows["committed_at"], self._committed_at), (received, self._received_until)):
            times = np.zeros(epoch_count, np.int64)
            np.maximum.at(times, epochs, column.cast(pa.int64()).fill_null(0).to_numpy())
            kept.frombytes(times.tobytes())
        self._note_definitions(rows)
        self.head += epoch_count

    def _note_definitions(self, rows: pa.Table) -> None:
        for epoch, found in zip(rows["epoch"].to_pylist(), rows["definitions_hash"].to_pylist(), strict=True):
            if not self._hashes or self._hashes[-1] != found:
                self._hash_since.append(epoch)
                self._hashes.append(found)


def milliseconds_since(then: int, now: int) -> int:
    """Whole milliseconds from one time in microseconds to another, never negative."""
    return max(now - then, 0) // (MICROS // 1000)
