"""States that are lists, in plain Python: values with their counts, spreads of numbers, times, days. algebra.py merges with these; bounded_columns.py is the Arrow form.

Each is a function of the multiset of events and of nothing else, so merges are associative and commutative whatever the bound does:

- counts: ``[value, count]`` in order of the value. More than BOUND distinct values become the one entry ``[None, events]``: that they are too many is known, which
  they are is not.
- spread: ``[number, count]`` likewise. More than BOUND distinct numbers are rounded to buckets of 0.8 % and begin with the entry ``[None, 0]``.
- times: the latest BOUND + 1 times in ascending order; a list of that length may lack older ones.
- days: every local day with an event, in ascending order.
"""

from collections.abc import Iterable
from heapq import merge
from typing import Any

BOUND = 1_000
_BITS = 8


def merge_counts(states: Iterable[list[Any]]) -> list[Any]:
    found = _added(states)
    if None in found or len(found) > BOUND:
        return [[None, sum(found.values())]]
    return [[value, found[value]] for value in sorted(found)]


def merge_spreads(states: Iterable[list[Any]]) -> list[Any]:
    found = _added(states)
    if None not in found and len(found) <= BOUND:
        return [[value, found[value]] for value in sorted(found)]
    found.pop(None, None)
    buckets: dict[int, int] = {}
    for value, count in found.items():
        buckets[bucket(value)] = buckets.get(bucket(value), 0) + count
    return [[None, 0], *([value, buckets[value]] for value in sorted(buckets))]


def merge_times(states: Iterable[list[int]]) -> list[int]:
    return list(merge(*states))[-(BOUND + 1) :]


def merge_days(states: Iterable[list[int]]) -> list[int]:
    return sorted({day for state in states for day in state})


def _added(states: Iterable[list[Any]]) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for state in states:
        for value, count in state:
            found[value] = found.get(value, 0) + count
    return found


def is_rounded(state: list[Any]) -> bool:
    """Whether a spread has come to buckets, or counts to too many values."""
    return bool(state) and state[0][0] is None


def bucket(number: int) -> int:
    """The number with its first eight binary digits kept and the others zero: the end of its bucket nearer to zero."""
    size = abs(number)
    shift = max(0, size.bit_length() - _BITS)
    return (size >> shift << shift) * (-1 if number < 0 else 1)


def middle_of(number: int) -> int:
    """The middle of a bucket: no number of it is further away than 0.4 %."""
    shift = max(0, abs(number).bit_length() - _BITS)
    return number + (1 << shift >> 1) * (-1 if number < 0 else 1)


def longest_run(days: Iterable[int]) -> int:
    """Days in a row, at most."""
    longest = run = 0
    before = None
    for day in days:
        run = run + 1 if before is not None and day == before + 1 else 1
        longest, before = max(longest, run), day
    return longest


def current_run(days: Iterable[int], today: int) -> int:
    """Days in a row that end today, or yesterday when today has none yet; 0 when the row is broken."""
    there = set(days)
    day = today if today in there else today - 1
    run = 0
    while day - run in there:
        run += 1
    return run
