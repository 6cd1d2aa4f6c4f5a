"""The Spark Column form of typed trees. Segments of many persons and derived traits on executors call it. Python form: millrace/expressions/python_form.py.

Times and durations are BIGINT microseconds inside, numbers DECIMAL(38,9). Neither ANSI nor the time zone of the session changes a value; that its decimals may
lose digits behind the point is checked (session.READS_TABLES).
"""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from functools import reduce
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from millrace.expressions.texts import NUMBER_PATTERN, letters
from millrace.expressions.tree import DAY_MICROS, FIRST_TIME, HOUR_MICROS, LAST_TIME, Node
from millrace.traits.algebra import NUMBER, UNIT, plain

_EXACT, _UNITS, _WHOLE = "DECIMAL(29,9)", "DECIMAL(29,0)", "DECIMAL(38,0)"
"""Numbers that arithmetic knows; the same in whole units of 10**-9; and products of these."""
_COMPARISONS: dict[str, Callable[[Column, Column], Column]] = {
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
}  # fmt: skip
_TRIES = {"add": F.try_add, "sub": F.try_subtract, "mul": F.try_multiply}
_SIGNS: dict[str, Callable[[Column, Column], Column]] = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b}


def column_of(name: str, type: str) -> Column:
    """A name as the column of this name in a frame such as profiles."""
    column = F.col("`" + name.replace("`", "``") + "`")
    if type == "time":
        return F.unix_micros(column)
    if type == "times":
        return F.transform(column, F.unix_micros)
    return column.cast({"integer": "BIGINT", "number": NUMBER}[type]) if type in ("integer", "number") else column


class ColumnForm:
    """``now``: microseconds; ``leaf``: a name in the inner type of its type; ``segment``: a segment as a truth; ``thresholds``: as settled, absent ones are null."""

    def __init__(
        self,
        now: int,
        *,
        leaf: Callable[[str, str], Column] = column_of,
        segment: Callable[[str], Column] = F.col,
        thresholds: Mapping[tuple[str, str, int], Any] | None = None,
    ) -> None:
        self._now, self._leaf, self._segment, self._thresholds = now, leaf, segment, thresholds or {}

    def column(self, node: Node) -> Column:
        """The value of the tree."""
        if node.op == "name":
            return self._leaf(node.value, node.type)
        if node.op == "now":
            return F.lit(self._now).cast("BIGINT")
        if node.op in ("literal", "threshold"):
            return _literal(node.type, node.value if node.op == "literal" else self._thresholds.get(node.value))
        if node.op == "segment":
            return self._segment(node.value)
        if node.op == "not_followed_by":
            return self._not_followed_by(node)
        args = [self.column(arg) for arg in node.args]
        if node.op in _COMPARISONS:
            return _COMPARISONS[node.op](*args)
        return _OPERATIONS[node.op](node, *args)

    def _not_followed_by(self, node: Node) -> Column:
        first, then = (_times(self.column(arg)) for arg in node.args)
        return F.exists(first, lambda one: (one + node.value < self._now) & ~F.exists(then, lambda other: (other > one) & (other <= one + node.value)))


def _literal(type: str, value: Any) -> Column:
    sql_types = {"number": NUMBER, "integer": "BIGINT", "time": "BIGINT", "duration": "BIGINT", "text": "STRING", "boolean": "BOOLEAN"}
    return F.lit(Decimal(plain(value)) if type == "number" and value is not None else value).cast(sql_types[type])


def _let(*values: Column, body: Callable[..., Column]) -> Column:
    """The body over the values, each of which is computed once."""
    several = F.array(F.struct(*(value.alias(f"v{place}") for place, value in enumerate(values))))
    return F.get(F.transform(several, lambda let: body(*(let[f"v{place}"] for place in range(len(values))))), F.lit(0))


def _whole(value: int) -> Column:
    return F.lit(Decimal(value))


def _units(number: Column) -> Column:
    return (number.try_cast(_EXACT) * _whole(UNIT)).cast(_UNITS)


def _from_units(units: Column) -> Column:
    return (units.try_cast(_UNITS) / _whole(UNIT)).cast(NUMBER)


def _rounded(dividend: Column, divisor: Column) -> Column:
    """The quotient as a whole number, half away from zero; null by zero. Spark's quotient is rounded at its sixth digit: what remains says to which side it goes.
    (Spark's + - and abs of decimals are exact up to 34 digits only, so none is used here on more.)"""

    def body(n: Column, d: Column) -> Column:
        is_away = F.abs(n % d) * _whole(2) >= F.abs(d)
        quotient = F.try_divide(n, d)
        return F.when(((n < 0) == (d < 0)) == is_away, F.ceil(quotient)).otherwise(F.floor(quotient)).try_cast(_UNITS)

    return _let(dividend, F.when(divisor != 0, divisor), body=body)


def _arithmetic(node: Node, left: Column, right: Column) -> Column:
    if node.type != "number":
        # not as integers: Spark reorders constants across their try_ operations, and what overflowed comes back
        return _SIGNS[node.op](left.cast("DECIMAL(19,0)"), right.cast("DECIMAL(19,0)")).try_cast("BIGINT")
    if node.op == "mul":
        return _from_units(_rounded(F.try_multiply(_units(left), _units(right)).cast(_WHOLE), _whole(UNIT)))
    return _TRIES[node.op](left.try_cast(_EXACT), right.try_cast(_EXACT)).try_cast(_EXACT).cast(NUMBER)


def _div(node: Node, left: Column, right: Column) -> Column:
    return _from_units(_rounded((_units(left) * _whole(UNIT)).cast(_WHOLE), _units(right)))


def _round(node: Node, number: Column) -> Column:
    return F.round(number.try_cast(_EXACT), node.value).try_cast(_EXACT).cast(NUMBER)


def _neg(node: Node, value: Column) -> Column:
    """Like abs exact up to 34 digits only, in Spark: more than arithmetic knows."""
    return (-value.try_cast(_EXACT)).cast(NUMBER) if node.type == "number" else F.try_subtract(F.lit(0).cast("BIGINT"), value)


def _abs(node: Node, value: Column) -> Column:
    if node.type == "number":
        return F.abs(value.try_cast(_EXACT)).cast(NUMBER)
    return _let(value, body=lambda v: F.when(v >= 0, v).otherwise(F.try_subtract(F.lit(0).cast("BIGINT"), v)))


def _extreme(choose: Callable[[Column], Column]) -> Callable[..., Column]:
    """Of several: null when any is; Spark's own least and greatest pass over nulls."""
    return lambda node, *args: _let(F.array(*args), body=lambda several: F.when(~F.exists(several, F.isnull), choose(several)))


def _days_of(micros: Column) -> Column:
    return F.call_function("div", micros, F.lit(DAY_MICROS)) - F.when(micros % DAY_MICROS < 0, 1).otherwise(0)


def _calendar(part: Callable[[Column], Column]) -> Callable[..., Column]:
    """Of a date: a date has no zone."""

    def build(node: Node, at: Column) -> Column:
        return _let(at, body=lambda t: F.when(t.between(FIRST_TIME, LAST_TIME), part(t).cast("BIGINT")))

    return build


def _date(at: Column) -> Column:
    return F.date_add(F.lit(date(1970, 1, 1)), _days_of(at).cast("INT"))


def _hour(at: Column) -> Column:
    return F.call_function("div", F.pmod(at, F.lit(DAY_MICROS)), F.lit(HOUR_MICROS))


def _number(node: Node, text: Column) -> Column:
    return F.when(text.rlike(NUMBER_PATTERN.replace("$", r"\z")), text.try_cast(_EXACT).cast(NUMBER))


def _bucket(node: Node, text: Column) -> Column:
    salt, shares = node.value
    digits = F.substring(F.sha2(F.concat(F.lit(f"{salt}:"), text), 256), 1, 15)
    return F.conv(digits, 16, 10).cast("BIGINT") % shares


def _times(times: Column) -> Column:
    """Absent times are none."""
    return F.coalesce(times, F.array().cast("ARRAY<BIGINT>"))


def _followed_by(node: Node, first: Column, then: Column) -> Column:
    def follows(one: Column, other: Column) -> Column:
        return other > one if node.value is None else (other > one) & (other <= one + node.value)

    return F.exists(_times(first), lambda one: F.exists(_times(then), lambda other: follows(one, other)))


def _funnel(node: Node, first: Column, *others: Column) -> Column:
    """Pairs of the first step and the last one so far, of those who have come so far; how many of the steps leave any."""
    pairs = F.transform(_times(first), lambda start: F.struct(start.alias("s"), start.alias("at")))
    reached = (F.size(pairs) > 0).cast("BIGINT")
    for times in others:
        pairs = F.filter(F.transform(pairs, _next_step(_times(times), node.value)), lambda pair: pair["at"].isNotNull())
        reached = reached + (F.size(pairs) > 0).cast("BIGINT")
    return reached


def _next_step(times: Column, within: int | None) -> Callable[[Column], Column]:
    def step(pair: Column) -> Column:
        def follows(other: Column) -> Column:
            return other > pair["at"] if within is None else (other > pair["at"]) & (other <= pair["s"] + within)

        return F.struct(pair["s"].alias("s"), F.array_min(F.filter(times, follows)).alias("at"))

    return step


_OPERATIONS: dict[str, Callable[..., Column]] = {
    "and": lambda node, *args: reduce(lambda a, b: a & b, args), "or": lambda node, *args: reduce(lambda a, b: a | b, args), "not": lambda node, a: ~a,
    "is_null": lambda node, a: a.isNull(), "not_null": lambda node, a: a.isNotNull(), "in": lambda node, a, *items: a.isin(*items),
    "add": _arithmetic, "sub": _arithmetic, "mul": _arithmetic, "div": _div, "neg": _neg, "abs": _abs, "round": _round,
    "number_of_integer": lambda node, a: a.cast(NUMBER), "coalesce": lambda node, *args: F.coalesce(*args),
    "min": _extreme(F.array_min), "max": _extreme(F.array_max),
    "lower": lambda node, a: F.translate(a, *letters()), "length": lambda node, a: F.length(a).cast("BIGINT"), "number": _number,
    "contains": lambda node, a, b: F.contains(a, b), "starts_with": lambda node, a, b: F.startswith(a, b),
    "has": lambda node, several, item: F.when(item.isNotNull(), F.coalesce(F.array_contains(several, item), F.lit(False))),
    "year": _calendar(lambda at: F.year(_date(at))), "month": _calendar(lambda at: F.month(_date(at))), "day": _calendar(lambda at: F.day(_date(at))),
    "hour": _calendar(_hour), "days": lambda node, a: _let(a, body=_days_of),
    "count": lambda node, a: F.coalesce(F.array_size(a), F.lit(0)).cast("BIGINT"), "bucket": _bucket, "followed_by": _followed_by, "funnel": _funnel,
}  # fmt: skip
