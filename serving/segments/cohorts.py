"""Who is in which segment, folded from serving/segment_changes: members, counts, sizes by day, overlaps. Every API process has its own and follows the table.

A person is a number, a segment an array of the instants since when each number is a member (0: not): 8 bytes a person and segment, however long the history.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa

from millrace.tables.catalogue import SEGMENT_CHANGES, TIME
from millrace.tables.delta import TenantTables
from serving.segments.movement import ENTERED
from serving.store.tail import EpochTail

MEMBERS = pa.schema([("person_id", pa.string()), ("since", TIME)])
"""A member of a segment and since when he is."""
_EPOCH = date(1970, 1, 1)
_DAY = 86_400_000_000
_NOBODY = np.zeros(0, np.int64)


@dataclass
class Cohort:
    """One segment. ``moves``: entries and exits by day (days since 1970, of ``at``)."""

    since: np.ndarray = field(default_factory=lambda: _NOBODY)
    count: int = 0
    moves: dict[int, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))

    def set(self, person: int, at: int) -> None:
        if person >= len(self.since):
            self.since = np.concatenate([self.since, np.zeros(max(1024, person + 1 - len(self.since), len(self.since) // 2), np.int64)])
        before = int(self.since[person])
        self.since[person] = at
        self.count += int(at != 0) - int(before != 0)


class Cohorts:
    """Any thread may ask; ``follow`` first, to see what has been told since. ``batch``: the last batch of changes taken in."""

    def __init__(self, tables: TenantTables) -> None:
        self.batch = 0
        self._lock = threading.Lock()
        self._tables = tables
        self._tail: EpochTail | None = None
        self._numbers: dict[str, int] = {}
        self._people: list[str] = []
        self._cohorts: dict[str, Cohort] = {}

    def follow(self) -> None:
        """Takes in what the table has by now. CoverageError when a file of it is missing."""
        with self._lock:
            is_first = self._tail is None
            if self._tail is None:
                self._tail = EpochTail(self._tables, SEGMENT_CHANGES, after=self.batch, column="batch")
            if self._tail.refresh() or is_first:
                rows = self._tail.rows()
                if len(rows):
                    self._take(rows.sort_by([("batch", "ascending"), ("number", "ascending")]))
                    self._tail.taken(self.batch)

    def names(self) -> list[str]:
        """Segments somebody has ever been in."""
        with self._lock:
            return sorted(self._cohorts)

    def count(self, segment: str) -> int:
        with self._lock:
            return self._cohorts[segment].count if segment in self._cohorts else 0

    def page(self, segment: str, *, after: int, limit: int) -> tuple[list[tuple[str, int]], int | None]:
        """Members with the instant they entered, in the order in which persons were first seen in any segment; where the next page starts, None at the end."""
        with self._lock:
            since = self._since(segment)
            found = after + np.flatnonzero(since[after:])[: limit + 1]
            numbers = found[:limit].tolist()
            members = [(self._people[number], int(since[number])) for number in numbers]
            return members, int(found[limit]) if len(found) > limit else None

    def parts(self, segment: str, *, rows: int) -> Iterator[pa.RecordBatch]:
        """All members as of now, as Arrow."""
        with self._lock:
            numbers = np.flatnonzero(self._since(segment))
            since = self._since(segment)[numbers]
        for start in range(0, len(numbers), rows):
            people = [self._people[number] for number in numbers[start : start + rows].tolist()]
            yield pa.RecordBatch.from_arrays([pa.array(people, pa.string()), pa.array(since[start : start + rows]).cast(pa.timestamp("us")).cast(TIME)], schema=MEMBERS)

    def overlap(self, one: str, other: str) -> int:
        """Persons who are in both."""
        with self._lock:
            left, right = self._since(one), self._since(other)
            shared = min(len(left), len(right))
            return int(np.count_nonzero((left[:shared] != 0) & (right[:shared] != 0)))

    def days(self, segment: str) -> list[tuple[date, int, int, int]]:
        """From the first day with a move to today: entries, exits, and the size at the end of the day."""
        with self._lock:
            moves = {day: tuple(found) for day, found in self._cohorts[segment].moves.items()} if segment in self._cohorts else {}
        if not moves:
            return []
        size, found = 0, []
        today = (datetime.now(UTC).date() - _EPOCH).days
        for day in range(min(moves), max(today, *moves) + 1):
            entered, left = moves.get(day, (0, 0))
            size += entered - left
            found.append((_EPOCH + timedelta(day), entered, left, size))
        return found

    def _since(self, segment: str) -> np.ndarray:
        return self._cohorts[segment].since if segment in self._cohorts else _NOBODY

    def _take(self, rows: pa.Table) -> None:
        columns = [rows[name].to_pylist() for name in ("person_id", "segment", "change")]
        for person_id, segment, change, at in zip(*columns, rows["at"].cast(pa.int64()).to_pylist(), strict=True):
            number = self._numbers.get(person_id)
            if number is None:
                number = self._numbers[person_id] = len(self._people)
                self._people.append(person_id)
            cohort = self._cohorts.get(segment) or self._cohorts.setdefault(segment, Cohort())
            has_entered = change == ENTERED
            cohort.set(number, at if has_entered else 0)
            cohort.moves[at // _DAY][0 if has_entered else 1] += 1
        self.batch = rows["batch"][-1].as_py()
