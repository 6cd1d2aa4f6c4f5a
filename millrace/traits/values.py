"""Finishing the operations that are more than one merge, in plain Python: from merged states to a value and what must be said of it. finish.py shows it as text.

Values are in the Python form of algebra.py: numbers are integers scaled by 10**9, times microseconds since 1970, lists tuples.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from math import isqrt
from typing import Any, NamedTuple

from millrace.times import MICROS
from millrace.traits.algebra import UNIT, average
from millrace.traits.bounded import BOUND, current_run, is_rounded, longest_run, middle_of
from millrace.traits.checks import QUANTILES
from millrace.traits.sketches import estimate
from millrace.traits.traits import TOP, Trait
from millrace.traits.zones import local_day

TOO_MANY = f"more than {BOUND:,} different values: they are not kept"
ROUNDED = f"within 0.4 %: more than {BOUND:,} different numbers"
OLDER = f"the latest {BOUND:,}: older ones are not kept"
TOO_LONG = f"more than {BOUND:,} events: they are not counted"
LARGEST = 10**38
"""Below this a scaled number has its place in a decimal of 38 digits."""
SIMPLE = frozenset({"count", "sum", "min", "max", "avg", "first", "last", "approx_distinct"})


class Told(NamedTuple):
    """A value, what limits it (empty: nothing), and where and when it was said if the trait asks for that."""

    value: Any
    note: str = ""
    source: str | None = None
    at: int | None = None


def is_simple(trait: Trait) -> bool:
    """Whether it is the plain finish of the merge of its states."""
    return trait.op in SIMPLE and not (trait.since or trait.prefer or trait.provenance)


def tell(trait: Trait, states: Sequence[Any], at: int) -> Told:
    """The finished value as of ``at`` (microseconds), from states of which each may be None."""
    if trait.since:
        return _since(states[0], states[1])
    if trait.prefer or trait.provenance:
        return _by_source(trait, states)
    found = NOTHING.get(trait.op) if states[0] is None else _FINISH[trait.op](trait, states, at)
    return found if isinstance(found, Told) else Told(found)


NOTHING: Mapping[str, Any] = {
    **dict.fromkeys(("count", "sum", "approx_distinct", "count_distinct", "active_days", "streak", "longest_streak"), 0),
    **dict.fromkeys(("unique_list", "histogram", "top_k", "times"), ()), "exists": False,
}  # fmt: skip
"""What is shown when nothing was seen; None for the others."""


def _since(times: list[int] | None, last: Sequence[Any] | None) -> Told:
    """Events after the last one of another name; all of them when there is none."""
    times = times or []
    after = 0 if last is None else bisect_right(times, last[0])
    return Told(None, TOO_LONG) if after == 0 and len(times) > BOUND else Told(len(times) - after)


def _by_source(trait: Trait, states: Sequence[Any]) -> Told:
    *preferred, anyone, source = states
    for name, state in zip(trait.prefer, preferred, strict=True):
        if state is not None:
            return Told(state[3], "", name, state[0])
    return Told(None) if anyone is None else Told(anyone[3], "", source and source[3], anyone[0])


def _variance(trait: Trait, states: Sequence[Any], at: int) -> int | None:
    """Of a sample, at nine decimals, half away from zero; None for a single value."""
    total, count, of_squares = states
    if count < 2:
        return None
    spread, parts = count * of_squares - total * total, count * (count - 1)
    if trait.op == "variance":
        found = average(spread, parts * UNIT)
    else:
        root = isqrt(spread // parts)
        found = root + ((2 * root + 1) ** 2 * parts <= 4 * spread)
    return found if found < LARGEST else None


def _quantile(trait: Trait, states: Sequence[Any], at: int) -> Told:
    """The smallest value with at least so many percent of all at or below it, as SQL's percentile_disc."""
    (spread,) = states
    wanted = max(1, -(-QUANTILES[trait.op] * sum(count for _, count in spread) // 100))
    for value, count in spread:
        wanted -= count
        if wanted <= 0 and count:
            return Told(middle_of(value), ROUNDED) if is_rounded(spread) else Told(value)
    return Told(None)


def _counted(trait: Trait, states: Sequence[Any], at: int) -> Any:
    (counts,) = states
    if is_rounded(counts):
        return Told(None, TOO_MANY)
    if trait.op == "count_distinct":
        return len(counts)
    if trait.op == "unique_list":
        return tuple(value for value, _ in counts)
    if trait.op == "most_frequent":
        return min(counts, key=lambda entry: (-entry[1], entry[0]))[0]
    ordered = counts if trait.op == "histogram" else sorted(counts, key=lambda entry: (-entry[1], entry[0]))[: trait.k or TOP]
    return tuple((value, count) for value, count in ordered)


def _times(trait: Trait, states: Sequence[Any], at: int) -> Told:
    (times,) = states
    return Told(tuple(times[-BOUND:]), OLDER if len(times) > BOUND else "")


_FINISH: Mapping[str, Callable[[Trait, Sequence[Any], int], Any]] = {
    **dict.fromkeys(("count", "sum", "min", "max"), lambda trait, states, at: states[0]),
    **dict.fromkeys(("first", "last"), lambda trait, states, at: states[0][3]),
    "avg": lambda trait, states, at: average(*states),
    "approx_distinct": lambda trait, states, at: estimate(states[0]),
    "variance": _variance, "stddev": _variance, **dict.fromkeys(QUANTILES, _quantile),
    **dict.fromkeys(("count_distinct", "unique_list", "most_frequent", "histogram", "top_k"), _counted),
    "exists": lambda trait, states, at: True,
    "times": _times,
    "time_since": lambda trait, states, at: max(0, at - states[0][0]) // MICROS,
    "active_days": lambda trait, states, at: len(states[0]),
    "longest_streak": lambda trait, states, at: longest_run(states[0]),
    "streak": lambda trait, states, at: current_run(states[0], local_day(trait.time_zone, at // MICROS)),
}  # fmt: skip
