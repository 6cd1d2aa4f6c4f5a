"""Operations of the Python form: each takes its typed node and the closures of its arguments, and gives a closure. None is unknown and makes most results unknown."""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from millrace.expressions.texts import lowered, number_of
from millrace.expressions.tree import DAY_MICROS, FIRST_TIME, LAST_TIME, LEAST_INTEGER, LIMIT, MOST_INTEGER, Node
from millrace.traits.algebra import SCALE, UNIT

Value = Callable[[Mapping[str, Any], int], Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rounded(dividend: int, divisor: int) -> int:
    """``dividend / divisor`` as a whole number, half away from zero; the divisor is positive."""
    return (2 * dividend + divisor) // (2 * divisor) if dividend >= 0 else -((divisor - 2 * dividend) // (2 * divisor))


def bucket_of(salt: str, text: str, shares: int) -> int:
    """A share from 0 up to ``shares``: the first 15 hexadecimal digits of sha256 of ``salt:text`` (UTF-8) as an integer, modulo ``shares``."""
    return int(sha256(f"{salt}:{text}".encode()).hexdigest()[:15], 16) % shares


def _within(value: int, is_number: bool) -> int | None:
    if is_number:
        return value if -LIMIT < value < LIMIT else None
    return value if LEAST_INTEGER <= value <= MOST_INTEGER else None


def _arithmetic(compute: Callable[[int, int], int | None]) -> Callable[..., Value]:
    def build(node: Node, left: Value, right: Value) -> Value:
        is_number = node.type == "number"

        def value(values: Mapping[str, Any], now: int) -> int | None:
            a, b = left(values, now), right(values, now)
            if a is None or b is None or (is_number and not (-LIMIT < a < LIMIT and -LIMIT < b < LIMIT)):
                return None
            found = compute(a, b)
            return None if found is None else _within(found, is_number)

        return value

    return build


def _mul(node: Node, left: Value, right: Value) -> Value:
    if node.type != "number":
        return _arithmetic(lambda a, b: a * b)(node, left, right)
    return _arithmetic(lambda a, b: rounded(product, UNIT) if abs(product := a * b) < 10**38 else None)(node, left, right)


def _div(a: int, b: int) -> int | None:
    """Half away from zero at the ninth digit, as an average is; nothing by zero."""
    return None if b == 0 else rounded(a * UNIT if b > 0 else -a * UNIT, abs(b))


def _one(compute: Callable[[Any], Any]) -> Callable[..., Value]:
    """A function of one argument."""

    def build(node: Node, inner: Value) -> Value:
        return lambda values, now: None if (found := inner(values, now)) is None else compute(found)

    return build


def _bounded(compute: Callable[[int], int]) -> Callable[..., Value]:
    def build(node: Node, inner: Value) -> Value:
        is_number = node.type == "number"
        return lambda values, now: None if (found := inner(values, now)) is None else _within(compute(found), is_number)

    return build


def _round(node: Node, inner: Value) -> Value:
    unit = 10 ** (SCALE - node.value)

    def value(values: Mapping[str, Any], now: int) -> int | None:
        found = inner(values, now)
        return None if found is None or not -LIMIT < found < LIMIT else _within(rounded(found, unit) * unit, True)

    return value


def _coalesce(node: Node, *inner: Value) -> Value:
    return lambda values, now: next((found for one in inner if (found := one(values, now)) is not None), None)


def _extreme(choose: Callable[[list[Any]], Any]) -> Callable[..., Value]:
    """Of several: unknown when any is."""

    def build(node: Node, *inner: Value) -> Value:
        def value(values: Mapping[str, Any], now: int) -> Any:
            found = [one(values, now) for one in inner]
            return None if None in found else choose(found)

        return value

    return build


def _both(compute: Callable[[str, str], bool]) -> Callable[..., Value]:
    """A truth about two texts."""

    def build(node: Node, left: Value, right: Value) -> Value:
        def value(values: Mapping[str, Any], now: int) -> bool | None:
            a, b = left(values, now), right(values, now)
            return None if a is None or b is None else compute(a, b)

        return value

    return build


def _has(node: Node, several: Value, item: Value) -> Value:
    """An absent list is empty."""
    return lambda values, now: None if (found := item(values, now)) is None else found in (several(values, now) or ())


def _calendar(part: Callable[[datetime], int]) -> Callable[..., Value]:
    def compute(at: int) -> int | None:
        return part(_EPOCH + timedelta(microseconds=at)) if FIRST_TIME <= at <= LAST_TIME else None

    return _one(compute)


def _bucket(node: Node, inner: Value) -> Value:
    salt, shares = node.value
    return lambda values, now: None if (text := inner(values, now)) is None else bucket_of(salt, text, shares)


def _followed_by(node: Node, first: Value, then: Value) -> Value:
    """Whether one of the second comes after one of the first, at most ``within`` later. Absent times are none."""
    within = node.value

    def value(values: Mapping[str, Any], now: int) -> bool:
        later = then(values, now) or ()
        if not later:
            return False
        if within is None:
            return any(at < later[-1] for at in first(values, now) or ())
        return any((place := bisect_right(later, at)) < len(later) and later[place] <= at + within for at in first(values, now) or ())

    return value


def _funnel(node: Node, *steps: Value) -> Value:
    """The most steps taken in order, each after the one before and all at most ``within`` after the first. From a first step on, the earliest next one is never worse."""
    within = node.value

    def value(values: Mapping[str, Any], now: int) -> int:
        first, *others = (step(values, now) or () for step in steps)
        deepest = 0
        for start in first:
            at, reached = start, 1
            for times in others:
                place = bisect_right(times, at)
                if place == len(times) or (within is not None and times[place] > start + within):
                    break
                at, reached = times[place], reached + 1
            deepest = max(deepest, reached)
        return deepest

    return value


def _not_followed_by(node: Node, first: Value, then: Value) -> Value:
    """Whether after one of the first the wait ``within`` is over and none of the second came in it."""
    within = node.value

    def value(values: Mapping[str, Any], now: int) -> bool:
        later = then(values, now) or ()
        waited = [at for at in first(values, now) or () if at + within < now]
        return any((place := bisect_right(later, at)) == len(later) or later[place] > at + within for at in waited)

    return value


OPERATIONS: dict[str, Callable[..., Value]] = {
    "add": _arithmetic(lambda a, b: a + b), "sub": _arithmetic(lambda a, b: a - b), "mul": _mul, "div": _arithmetic(_div),
    "neg": _bounded(lambda a: -a), "abs": _bounded(abs), "round": _round, "number_of_integer": _one(lambda a: a * UNIT),
    "coalesce": _coalesce, "min": _extreme(min), "max": _extreme(max),
    "lower": _one(lowered), "length": _one(len), "number": _one(number_of),
    "contains": _both(lambda whole, part: part in whole), "starts_with": _both(lambda whole, part: whole.startswith(part)), "has": _has,
    "year": _calendar(lambda at: at.year), "month": _calendar(lambda at: at.month), "day": _calendar(lambda at: at.day), "hour": _calendar(lambda at: at.hour),
    "days": _one(lambda length: length // DAY_MICROS),
    "count": lambda node, inner: lambda values, now: len(inner(values, now) or ()),
    "bucket": _bucket, "followed_by": _followed_by, "funnel": _funnel, "not_followed_by": _not_followed_by,
}  # fmt: skip
