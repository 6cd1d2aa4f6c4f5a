"""The algebra of states in plain Python: what the store merges with at read. Spark form of the same kinds: columns/algebra.py.

A state value of ``None`` is the zero of every kind ("nothing seen"). Merges are associative and commutative (law 4). Values in Python:
numbers are integers scaled by 10**9, times are microseconds since 1970, first/last are ``(at, partition, offset, value)``, sketches are bytes, a sum of
squares is one integer (scaled by 10**18), the kinds of bounded.py are lists.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

from millrace.traits.bounded import merge_counts, merge_days, merge_spreads, merge_times
from millrace.traits.sketches import merge_sketches

SCALE = 9
UNIT = 10**SCALE
NUMBER = f"DECIMAL(38,{SCALE})"
NUMBER_TYPE = pa.decimal128(38, SCALE)


@dataclass(frozen=True)
class Kind:
    """One kind of state: the fold of values that are not None, its Delta type (``{value}`` stands for the value's), whether it is exact."""

    name: str
    fold: Callable[[list[Any]], Any]
    type: str
    exact: bool = True


_AT = "STRUCT<at: TIMESTAMP, partition: INT, offset: BIGINT, value: {value}>"
_COUNTED = "ARRAY<STRUCT<value: {value}, count: BIGINT>>"

KINDS = {
    kind.name: kind
    for kind in (
        Kind("count", sum, "BIGINT"),
        Kind("sum", sum, NUMBER),
        Kind("min", min, "{value}"),
        Kind("max", max, "{value}"),
        Kind("first", min, _AT),
        Kind("last", max, _AT),
        Kind("distinct", merge_sketches, "BINARY", exact=False),
        Kind("squares", sum, f"STRUCT<high: {NUMBER}, middle: {NUMBER}, low: {NUMBER}>"),
        Kind("counts", merge_counts, _COUNTED),
        Kind("spread", merge_spreads, _COUNTED),
        Kind("times", merge_times, "ARRAY<TIMESTAMP>"),
        Kind("days", merge_days, "ARRAY<INT>"),
    )
}

LIST_KINDS = frozenset({"counts", "spread", "times", "days"})
HALF = 10**12
"""A scaled value is ``high * HALF + low``; a sum of squares is kept as the sums of high², high·low and low², of which each fits a decimal of 38 digits."""

VALUE_TYPES = {"number": NUMBER, "string": "STRING", "time": "TIMESTAMP"}


def merge_all(kind: str, values: Iterable[Any]) -> Any:
    """Fold of the values under the kind's merge; None is the zero, so None for no values."""
    present = [value for value in values if value is not None]
    if len(present) < 2:
        return present[0] if present else None
    return KINDS[kind].fold(present)


def average(total: int, count: int) -> int:
    """Scaled ``total / count``, rounded half away from zero at the last digit, as Spark and SQL do."""
    doubled = 2 * abs(total) + count
    return (doubled // (2 * count)) * (-1 if total < 0 else 1)


def squares(high: int, middle: int, low: int) -> int:
    """The sum of squares from the three sums it is kept as."""
    return high * HALF * HALF + 2 * middle * HALF + low


def scaled(value: Decimal) -> int:
    """A decimal of scale 9 as the integer the Python form merges (exact: built from its digits, free of any decimal context)."""
    sign, digits, exponent = value.as_tuple()
    number = int("".join(map(str, digits))) * 10 ** (SCALE + exponent)
    return -number if sign else number


def plain(value: int) -> str:
    """A scaled integer as decimal text without trailing zeros: 12500000000 → ``12.5``."""
    if value < 0:
        return "-" + plain(-value)
    digits = str(value).zfill(SCALE + 1)
    return f"{digits[:-SCALE]}.{digits[-SCALE:]}".rstrip("0").rstrip(".")
