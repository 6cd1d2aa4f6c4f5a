"""Finishing in plain Python: from merged states to the value an answer shows, and which tiles a window covers. The store calls it.

States are in the Python form of algebra.py. An answer's values are ints (counts, distinct), text (decimals, strings, RFC 3339 times) or None.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from millrace.algebra import average, plain
from millrace.sketches import estimate
from millrace.traits import ALL_TIME, Trait

MICROS = 1_000_000
Value = int | str | None
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def time_text(at: int) -> str:
    """Microseconds since 1970 as RFC 3339 with ``Z``; the fraction only when it is not zero."""
    return (_EPOCH + timedelta(microseconds=at)).isoformat() + "Z"


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
    """The function from a trait's merged states, in the order of ``trait.states``, to its value. None stands for "nothing seen"."""
    if trait.op in ("count", "sum", "avg", "approx_distinct"):
        return {"count": _count, "sum": _sum, "avg": _average, "approx_distinct": estimate}[trait.op]
    text = {"number": plain, "string": str, "time": time_text}[trait.resolved_type]
    if trait.op in ("min", "max"):
        return lambda state: None if state is None else text(state)
    return lambda state: None if state is None else text(state[3])


def finish(trait: Trait, *states: Any) -> Value:
    """One value; who finishes many of a trait keeps its ``finisher``."""
    return finisher(trait)(*states)


def _count(state: int | None) -> Value:
    return state or 0


def _sum(state: int | None) -> Value:
    return plain(state or 0)


def _average(total: int | None, count: int | None) -> Value:
    return plain(average(total, count)) if count and total is not None else None
