"""Days of a time zone's calendar, with its daylight saving and leap days. A local day is a number: days since 1970-01-01 of its date. fold.py and windows.py call it.

Python's own zone data says what belongs to which day, wherever a day is asked for: Spark, DuckDB and the store are only given numbers of days.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

import numpy as np

from millrace.yaml_files import did_you_mean

DAY_S = 86_400
_CELL = 900
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = date(1970, 1, 1)


def check_zone(name: str) -> str:
    """The name itself; ValueError when there is no such zone."""
    if not isinstance(name, str) or name not in _names():
        raise ValueError(f"found time zone {name!r}{did_you_mean(str(name), _names())}; allowed are names such as Europe/Berlin, America/New_York, UTC")
    return name


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(100_000)
def _offset(zone: str, second: int) -> int:
    """Seconds that local clocks are ahead of UTC."""
    found = (_EPOCH + timedelta(seconds=second)).astimezone(ZoneInfo(zone)).utcoffset()
    return 0 if found is None else int(found.total_seconds())


def local_days(zone: str, seconds: np.ndarray) -> np.ndarray:
    """Local day of each instant, given in whole seconds since 1970."""
    cells, places = np.unique(seconds // _CELL, return_inverse=True)
    ends = [(_offset(zone, int(cell) * _CELL), _offset(zone, int(cell) * _CELL + _CELL)) for cell in cells]
    offsets = np.fromiter((start for start, _ in ends), np.int64, len(ends))[places]
    for cell in np.flatnonzero(np.fromiter((start != end for start, end in ends), bool, len(ends))):  # clocks change within it
        inside = np.flatnonzero(places == cell)
        offsets[inside] = [_offset(zone, second) for second in seconds[inside].tolist()]
    return (seconds + offsets) // DAY_S


def local_day(zone: str, second: int) -> int:
    """Local day of one instant."""
    return (second + _offset(zone, second)) // DAY_S


def day_start(zone: str, day: int) -> int:
    """The instant, in seconds since 1970, at which clocks begin to show a date: the smallest one of that day or later."""
    if zone == "UTC":
        return day * DAY_S
    low, high = day * DAY_S - DAY_S, day * DAY_S + DAY_S
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if local_day(zone, middle) >= day else (middle + 1, high)
    return low


def date_of(day: int) -> date:
    return _FIRST + timedelta(days=day)


def day_of(at: date) -> int:
    return (at - _FIRST).days


def days_text(days: Iterable[int]) -> list[str]:
    return [date_of(day).isoformat() for day in days]
