"""What each measure of each source has been, window by window: what bands are learned from. judging.py asks and adds; it is read from serving/data_health at a start.

An anomaly is not learned at once: its window is in no band for ``DOUBTED`` seconds, and never in a mix of history. Then it is one of the four of its hour of the week,
and moves their median only when it has recurred: a mailing each Monday is usual by its third. A change that stays is taken as the new usual after ``ADOPTED`` seconds in which at
least half of the windows were anomalies: the series then begins anew and says `learning` until it knows enough.
"""

import json
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from millrace.tables.catalogue import HEALTH
from millrace.tables.delta import TenantTables
from serving.data_health.bands import Past
from serving.data_health.measures import ANOMALY, MIXES, NORMAL, RECEIVED, REJECTS

SPAN = 28 * 86_400
"""Seconds of history that count: four of each hour of the week."""
DOUBTED = 7 * 86_400
ADOPTED = 3 * 86_400
Key = tuple[str, str, str | None]
"""Source, measure, what it is about."""
_COLUMNS = ("source", "measure", "about", "window_start", "window_end", "observed", "records", "noise", "state", "anomaly_since", "history_since", "details")


class Point(NamedTuple):
    """A window of a series; ``start`` in seconds. ``observed`` None: of a mix that had nothing to be compared with."""

    start: int
    observed: float | None
    records: int
    noise: float
    state: str
    counts: Counter[str] | None = None


class Learned:
    """Numbers of windows in order, in one block of memory: start, observed, records, noise, and from when on they count. New ones come at the end, old ones go at the
    front."""

    def __init__(self) -> None:
        self._block = np.empty((5, 64))
        self._first = self._end = 0

    def add(self, *values: float) -> None:
        if self._end == self._block.shape[1]:
            kept = self._block[:, self._first : self._end]
            self._block = np.empty((5, 2 * kept.shape[1] + 64))
            self._block[:, : kept.shape[1]] = kept
            self._first, self._end = 0, kept.shape[1]
        self._block[:, self._end] = values
        self._end += 1

    def forget(self, before: int) -> None:
        self._first += int(np.searchsorted(self._block[0, self._first : self._end], before))

    def past(self, start: int) -> Past:
        """Those that count for a window that starts then."""
        kept = self._block[:, self._first : self._end]
        starts, observed, records, noise, _ = kept[:, kept[4] <= start]
        return Past(starts.astype(np.int64), observed, records, noise)


@dataclass
class Series:
    """``since``: the first window that counts (seconds); ``anomaly_since``: the window with which the anomaly began that the last window is of. ``mixed``: of how many
    windows the ``reference`` is the sum."""

    since: int
    anomaly_since: int | None = None
    points: deque[Point] = field(default_factory=deque)
    reference: Counter[str] = field(default_factory=Counter)
    mixed: int = 0
    learned: Learned = field(default_factory=Learned)

    def past(self, start: int) -> Past:
        """The windows before one that starts then, as far as they count."""
        self._forget(start - SPAN)
        return self.learned.past(start)

    def add(self, point: Point, length: int) -> None:
        """Takes in a window of this length, and begins anew after one when anomalies have lasted."""
        self.points.append(point)
        if point.observed is not None:
            counts_from = point.start + (DOUBTED if point.state == ANOMALY else 0)
            self.learned.add(point.start, point.observed, point.records, point.noise, counts_from)
        if point.state != ANOMALY:
            self.anomaly_since = None
            if point.counts:
                self.reference.update(point.counts)
                self.mixed += 1
            return
        self.anomaly_since = point.start if self.anomaly_since is None else self.anomaly_since
        lately = list(takewhile(lambda one: one.start > point.start - ADOPTED and one.start >= self.since, reversed(self.points)))
        if 2 * sum(one.state == ANOMALY for one in lately) >= max(len(lately), ADOPTED // length, 2):
            self.begin_anew(point.start + length)

    def begin_anew(self, since: int) -> None:
        """Nothing before ``since`` counts any more."""
        self.since, self.reference, self.mixed, self.learned = since, Counter(), 0, Learned()

    def is_idle(self) -> bool:
        """Whether nothing but zeros has been seen in all that is remembered."""
        return not any(one.observed for one in self.points)

    def _forget(self, before: int) -> None:
        self.learned.forget(before)
        while self.points and self.points[0].start < before:
            gone = self.points.popleft()
            if gone.counts and gone.state != ANOMALY and gone.start >= self.since:
                self.reference -= gone.counts
                self.mixed -= 1


class History:
    """All series of a tenant."""

    def __init__(self) -> None:
        self.series: dict[Key, Series] = {}

    def sources(self, start: int) -> list[str]:
        """Those that have sent something within ``SPAN`` before a window that starts then."""
        found = []
        for (source, measure, _), series in list(self.series.items()):
            if measure == RECEIVED:
                series.past(start)
                if not series.is_idle():
                    found.append(source)
        return sorted(found)

    def of(self, key: Key, start: int) -> Series:
        """The series of a key, made when it is new, or nothing of it is remembered. A reason of rejects that is seen for the first time was not there in the windows
        before: a share of zero."""
        found = self.series.get(key)
        if found is not None:
            found.past(start)
        if found is None or not found.points:
            found = self.series[key] = Series(start)
            self._fill(key, found, start)
        return found

    def reasons(self, source: str, start: int) -> list[str]:
        """Reasons for which records of a source have been rejected within ``SPAN``."""
        found = {key[2]: series for key, series in self.series.items() if key[0] == source and key[1] == REJECTS and key[2] is not None}
        for series in found.values():
            series.past(start)
        return sorted(reason for reason, series in found.items() if reason and series.points)

    def _fill(self, key: Key, series: Series, start: int) -> None:
        received = self.series.get((key[0], RECEIVED, None))
        if key[1] != REJECTS or key[2] is None or received is None:
            return
        for one in received.points:
            if one.records and start - SPAN <= one.start < start:
                series.since = min(series.since, one.start)
                series.add(Point(one.start, 0.0, one.records, 0.0, NORMAL), 0)


def read_history(tables: TenantTables, *, length: int) -> tuple[History, int | None]:
    """History as the table has it, of windows of this length (seconds), and the end of its last window; None where there is none yet. The same as it was in the process
    that wrote the table."""
    history, last = History(), last_window(tables)
    if last is None:
        return history, None
    rows = tables.read(HEALTH, columns=["window", *_COLUMNS], where=pc.field("window") > last - SPAN - 2 * length)
    ordered = rows.sort_by([("window", "ascending"), ("measure", "ascending"), ("source", "ascending"), ("about", "ascending")])
    for row in _in_turn(ordered.to_pylist()):
        start, end = (int(row[name].timestamp()) for name in ("window_start", "window_end"))
        if end - start != length:
            continue
        series = history.of((row["source"], row["measure"], row["about"]), start)
        since = int(row["history_since"].timestamp())
        if since > series.since:
            series.begin_anew(since)
        series.since = since
        counts = Counter(json.loads(row["details"])) if row["measure"] in MIXES else None
        series.add(Point(start, row["observed"], row["records"], row["noise"] or 0.0, row["state"], counts), length)
        if row["anomaly_since"] is not None:
            series.anomaly_since = int(row["anomaly_since"].timestamp())
    return history, last


def _in_turn(rows: list[dict]) -> Iterator[dict]:
    """Of each window first how much was received: other series are made by it."""
    yield from sorted(rows, key=lambda row: (row["window"], row["measure"] != RECEIVED))


def last_window(tables: TenantTables) -> int | None:
    """End of the last window that is final, in seconds since 1970."""
    found = tables.open(HEALTH)
    ends = None if found is None else pc.max(tables.read(HEALTH, columns=["window"], version=found.version())["window"]).as_py()
    return ends
