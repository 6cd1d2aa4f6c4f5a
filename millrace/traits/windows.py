"""Windows of traits: rolling (``24h``, ``30d``), shifted (``ago: 30d``), and those of a calendar (``this_month``). Leaves: which tiles one covers at a time.

Every reader asks here: the store, the batch layer in the driver, Spark (as bounds of a column), the SQL that is shown. Windows move in whole tiles. A rolling one is
rounded out to them; a shifted one ends where the rolling window of length ``ago`` begins, so that no tile is in both. A calendar's is the days of its dates.
Of events with a term it has only tiles that began within the term: what may be over is left out (ADR 0028).
"""

import re
from dataclasses import dataclass, replace
from datetime import date

from millrace.times import MICROS
from millrace.traits.zones import date_of, day_of, day_start, local_day

HOUR, DAY, ALL_TIME, LOCAL_DAY = 3_600, 86_400, 0, -86_400
"""Hops: the length of a tile in seconds, 0 for all time. LOCAL_DAY: days of a time zone; a tile starts, in the tables, at its date's midnight in UTC."""
LONGEST = 731 * DAY
ROLLING = re.compile(r"^([1-9]\d{0,4})([hd])$")
CALENDAR = ("today", "yesterday", "this_week", "previous_week", "this_month", "previous_month", "this_year", "previous_year")


def seconds_of(length: str) -> int:
    """Length of ``24h`` or ``30d``; ValueError for anything else."""
    if not (match := ROLLING.match(length)):
        raise ValueError(f"{length!r} is not a length: allowed are hours (24h) or days (30d)")
    return int(match[1]) * (HOUR if match[2] == "h" else DAY)


@dataclass(frozen=True)
class Window:
    """``name``: absent for all time, a length, or one of CALENDAR. ``ago``: a length, or absent. ``zone``: whose calendar. ``term``: seconds for which its events may
    be used, 0 for always."""

    name: str | None = None
    ago: str | None = None
    zone: str = "UTC"
    term: int = 0

    def within(self, term: int) -> "Window":
        """The window over events that may be used for ``term`` seconds. Where it is not shorter it becomes the term, in tiles of an hour."""
        is_cut = self.name is None or (not self.is_calendar and not self.ago and self.seconds >= term)
        return replace(self, name=f"{term // HOUR}h" if is_cut else self.name, term=term) if term else self

    @property
    def is_calendar(self) -> bool:
        return self.name in CALENDAR

    @property
    def seconds(self) -> int:
        """Length of a rolling window; 0 for the others."""
        return seconds_of(self.name) if self.name and not self.is_calendar else 0

    @property
    def hop(self) -> int:
        """The tile it is made of."""
        if self.name is None:
            return ALL_TIME
        if self.is_calendar:
            return DAY if self.zone == "UTC" else LOCAL_DAY
        return HOUR if self.name.endswith("h") else DAY

    @property
    def key(self) -> str:
        """Equal exactly for windows that cover the same tiles at all times, of states of one zone."""
        return f"{self.name or 'all'}{f' ago {self.ago}' if self.ago else ''}{f' term {self.term}' if self.term else ''}"

    def tiles(self, at: int, now: int | None = None) -> tuple[int, int]:
        """Numbers [first, until) of its tiles at ``at`` (microseconds), read at ``now`` (default: the same), when terms may be over that were not. Not for all time."""
        first, until = self._tiles(at)
        if self.term:
            first = max(first, self._tile(max(at, now or at) - self.term * MICROS) + 1)
        return first, max(first, until)

    def dies(self, tile: int) -> int:
        """When the term of a tile is over, in microseconds: from then on no window has it."""
        return ((day_start(self.zone, tile) if self.hop == LOCAL_DAY else tile * self.hop) + self.term) * MICROS

    def _tile(self, at: int) -> int:
        """The tile an instant is in."""
        return local_day(self.zone, at // MICROS) if self.hop == LOCAL_DAY else at // (self.hop * MICROS)

    def _tiles(self, at: int) -> tuple[int, int]:
        if self.is_calendar:
            return self._dates(at)
        length = self.hop * MICROS
        if self.ago:
            end = (at - seconds_of(self.ago) * MICROS) // length
            return end - self.seconds // self.hop, end
        return (at - self.seconds * MICROS) // length, -(-at // length)

    def end(self, at: int) -> int:
        """End of the window in microseconds; ``at`` itself for all time."""
        if self.hop == ALL_TIME:
            return at
        _, until = self._tiles(at)
        return (day_start(self.zone, until) if self.hop == LOCAL_DAY else until * self.hop) * MICROS

    def _dates(self, at: int) -> tuple[int, int]:
        day = local_day(self.zone, at // MICROS)
        today = date_of(day)
        if self.name in ("today", "yesterday"):
            return (day, day + 1) if self.name == "today" else (day - 1, day)
        week = day - today.weekday()
        month, year = today.replace(day=1), today.replace(month=1, day=1)
        starts = {
            "this_week": week, "this_month": day_of(month), "this_year": day_of(year),
            "previous_week": week - 7, "previous_month": day_of(_month_before(month)), "previous_year": day_of(year.replace(year=year.year - 1)),
        }  # fmt: skip
        name = self.name or ""
        return starts[name], day + 1 if name.startswith("this_") else starts[name.replace("previous_", "this_")]


def _month_before(first: date) -> date:
    return first.replace(year=first.year - 1, month=12) if first.month == 1 else first.replace(month=first.month - 1)
