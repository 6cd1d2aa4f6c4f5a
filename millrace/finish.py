"""Finishing in plain Python: from merged states to the value an answer shows, and which tiles a window covers. The store calls it.

States are in the Python form of algebra.py. An answer's values are ints (counts, distinct), text (decimals, strings, RFC 3339 times) or None.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any

from millrace.algebra import average, plain
from millrace.sketches import estimate
from millrace.traits import ALL_TIME, Trait

MICROS = 1_000_000
Value = int | str | None
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY = 86_400 * MICROS
_TWO_DIGITS = tuple(f"{number:02d}" for number in range(60))


def time_text(at: int) -> str:
    """Microseconds since 1970 as RFC 3339 with ``Z``; the fraction only when it is not zero."""
    day, rest = divmod(at, _DAY)
    second, fraction = divmod(rest, MICROS)
    minute, second = divmod(second, 60)
    clock = f"{_date(day)}T{_TWO_DIGITS[minute // 60]}:{_TWO_DIGITS[minute % 60]}:{_TWO_DIGITS[second]}"
    return f"{clock}.{fraction:06d}Z" if fraction else f"{clock}Z"


@lru_cache(4096)
def _date(day: int) -> str:
    return (_EPOCH + timedelta(day)).date().isoformat()


def micros(at: datetime) -> int:
    """Microseconds since 1970 of a time; one without a zone is taken as UTC."""
    naive = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    return (naive - _EPOCH) // _MICROSECOND


def tile_range(at: int, *, window: int, hop: int) -> tuple[int, int]:
    """Numbers [from, until) of the tiles a window covers at ``at`` (microseconds); a tile's number is its start divided by the hop.

    The tail is rounded down to the hop, the head up: floor((at - window) / hop) and ceil(at / hop).
    """
    length = hop * MICROS
    return (at - window * MICROS) // length, -(-at // length)


def window_end(at: int, hop: int) -> int:
    """End of a window in microseconds: ``at`` rounded up to the hop; ``at`` itself for all time."""
    return at if hop == ALL_TIME else -(-at // (hop * MICROS)) * hop * MICROS


def finisher(trait: Trait) -> Callable[..., Value]:
    """The function from a trait's merged states, in the order of ``trait.states``, to its value; the first must not be None."""
    if trait.op == "avg":
        return _average
    if trait.op in ("count", "sum", "approx_distinct"):
        return {"count": int, "sum": plain, "approx_distinct": estimate}[trait.op]
    text = {"number": plain, "string": str, "time": time_text}[trait.resolved_type]
    if trait.op in ("min", "max"):
        return text
    return itemgetter(3) if text is str else lambda state: text(state[3])


def value_of_nothing(trait: Trait) -> Value:
    """What a trait shows when nothing was seen: 0 where something is counted or added up, else None."""
    return {"count": 0, "approx_distinct": 0, "sum": "0"}.get(trait.op)


def finish(trait: Trait, *states: Any) -> Value:
    """One value from the trait's merged states, None for nothing seen; who finishes many keeps the ``finisher``."""
    return value_of_nothing(trait) if states[0] is None else finisher(trait)(*states)


def _average(total: int, count: int) -> Value:
    return plain(average(total, count))
