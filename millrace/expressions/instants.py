"""When a verdict could turn although no event comes: the instants at which what an expression says of ``now`` changes. segments.py asks, for live timers."""

from collections.abc import Callable, Mapping
from typing import Any

from millrace.expressions.tree import DAY_MICROS, HOUR_MICROS, Node

Value = Callable[[Mapping[str, Any], int], Any]
Turn = Callable[[Mapping[str, Any], int], int | None]


def coefficient(node: Node) -> int | None:
    """How a value moves with ``now``: 0 not at all (or in steps), 1 along, -1 against; None where that is not one of a few constants."""
    if node.type not in ("time", "duration") or not node.looks_at_now:
        return 0
    if node.op == "now":
        return 1
    moves = [coefficient(arg) for arg in node.args]
    if any(move is None for move in moves) or node.op not in ("add", "sub", "neg"):
        return None
    return -moves[0] if node.op == "neg" else moves[0] + moves[1] if node.op == "add" else moves[0] - moves[1]  # type: ignore[operator]


def turns(tree: Node, value_of: Callable[[Node], Value]) -> list[Turn]:
    """One function for each part of a typed tree that looks at now: the next instant after ``now`` at which that part could change, or None."""
    found: list[Turn] = []
    for node in tree.walk():
        if node.op in ("eq", "ne", "lt", "le", "gt", "ge") and node.args[0].type in ("time", "duration"):
            if move := (coefficient(node.args[0]) or 0) - (coefficient(node.args[1]) or 0):
                found.append(_crossing(value_of(node.args[0]), value_of(node.args[1]), move))
        elif node.op in ("days", "year", "month", "day", "hour") and (move := coefficient(node.args[0])):
            found.append(_step(value_of(node.args[0]), HOUR_MICROS if node.op == "hour" else DAY_MICROS, move))
        elif node.op == "not_followed_by":
            found.append(_waiting(value_of(node.args[0]), node.value))
    return found


def _crossing(left: Value, right: Value, move: int) -> Turn:
    """The instant at which both sides are equal, and the one after it."""

    def turn(values: Mapping[str, Any], now: int) -> int | None:
        one, other = left(values, now), right(values, now)
        if one is None or other is None:
            return None
        equal = now - (one - other) * move
        return equal if equal > now else equal + 1 if equal == now else None

    return turn


def _step(inner: Value, length: int, move: int) -> Turn:
    """The next whole day (or hour) of what moves with now."""

    def turn(values: Mapping[str, Any], now: int) -> int | None:
        at = inner(values, now)
        if at is None:
            return None
        return now + length - at % length if move > 0 else now + at % length + 1

    return turn


def _waiting(first: Value, within: int) -> Turn:
    """The next end of a wait."""

    def turn(values: Mapping[str, Any], now: int) -> int | None:
        return min((at + within + 1 for at in first(values, now) or () if at + within >= now), default=None)

    return turn
