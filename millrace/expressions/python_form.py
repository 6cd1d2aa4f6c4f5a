"""The Python form of typed trees: closures over values by name and an instant. segments.py and the store's live evaluation call them; nothing is evaluated from text.

A truth has two closures, ``is_true`` and ``is_false``: unknown is neither. So and, or and not stop at the first part that decides, and need no third value.
"""

from collections.abc import Callable, Mapping
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from millrace.expressions.operations import OPERATIONS
from millrace.expressions.tree import Node

Values = Mapping[str, Any]
Value = Callable[[Values, int], Any]
Truth = Callable[[Values, int], bool]
_COMPARISONS = {"eq": eq, "ne": ne, "lt": lt, "le": le, "gt": gt, "ge": ge}
_OPPOSITE = {"eq": "ne", "ne": "eq", "lt": "ge", "ge": "lt", "gt": "le", "le": "gt"}


class PythonForm:
    """``thresholds``: values of thresholds, None where nobody reaches it; ``segments``: ``is_true`` of the segments a tree names."""

    def __init__(self, thresholds: Mapping[tuple[str, str, int], Any] | None = None, segments: Mapping[str, Truth] | None = None) -> None:
        self._thresholds = {} if thresholds is None else thresholds
        self._segments = {} if segments is None else segments  # filled by whoever compiles, nested ones first

    def value(self, node: Node) -> Value:
        """The value of a tree of any type; None is unknown."""
        if node.op == "name":
            name = node.value
            return lambda values, now: values.get(name)
        if node.op in ("literal", "threshold"):
            constant = node.value if node.op == "literal" else self._thresholds.get(node.value)
            return lambda values, now: constant
        if node.op == "now":
            return lambda values, now: now
        if node.type == "boolean" and node.op not in OPERATIONS:
            true, false = self.is_true(node), self.is_false(node)
            return lambda values, now: True if true(values, now) else False if false(values, now) else None
        return OPERATIONS[node.op](node, *(self.value(arg) for arg in node.args))

    def is_true(self, node: Node) -> Truth:
        return self._truth(node, True)

    def is_false(self, node: Node) -> Truth:
        return self._truth(node, False)

    def _truth(self, node: Node, wanted: bool) -> Truth:
        if node.op == "not":
            return self._truth(node.args[0], not wanted)
        if node.op in ("and", "or"):
            parts = [self._truth(arg, wanted) for arg in node.args]
            return _all(parts) if (node.op == "and") is wanted else _any(parts)
        if node.op in _COMPARISONS:
            return self._comparison(node, node.op if wanted else _OPPOSITE[node.op])
        if node.op in ("is_null", "not_null"):
            inner, absent = self.value(node.args[0]), (node.op == "is_null") is wanted
            return (lambda values, now: inner(values, now) is None) if absent else (lambda values, now: inner(values, now) is not None)
        if node.op == "in":
            return self._in(node, wanted)
        if node.op == "segment":
            holds = self._segments[node.value]
            return holds if wanted else (lambda values, now: not holds(values, now))
        if node.op == "name":
            name = node.value
            return lambda values, now: values.get(name) is wanted
        value = self.value(node)
        return lambda values, now: value(values, now) is wanted

    def _comparison(self, node: Node, op: str) -> Truth:
        left, right = node.args
        if right.op in ("literal", "threshold"):
            constant = right.value if right.op == "literal" else self._thresholds.get(right.value)
            if constant is None:
                return lambda values, now: False
            return _name_against(op, left.value, constant) if left.op == "name" else _against(op, self.value(left), constant)
        compare, one, other = _COMPARISONS[op], self.value(left), self.value(right)
        return lambda values, now: (a := one(values, now)) is not None and (b := other(values, now)) is not None and compare(a, b)

    def _in(self, node: Node, wanted: bool) -> Truth:
        inner, items = self.value(node.args[0]), node.args[1:]
        if all(item.op == "literal" for item in items):
            allowed = frozenset(item.value for item in items)
            if wanted:
                return lambda values, now: inner(values, now) in allowed
            return lambda values, now: (value := inner(values, now)) is not None and value not in allowed
        parts = [self._comparison(Node("eq", "boolean", (node.args[0], item)), "eq" if wanted else "ne") for item in items]
        return _any(parts) if wanted else _all(parts)


def _all(parts: list[Truth]) -> Truth:
    if len(parts) == 2:
        first, second = parts
        return lambda values, now: first(values, now) and second(values, now)
    if len(parts) == 3:
        first, second, third = parts
        return lambda values, now: first(values, now) and second(values, now) and third(values, now)

    def holds(values: Values, now: int) -> bool:
        return all(part(values, now) for part in parts)

    return holds


def _any(parts: list[Truth]) -> Truth:
    if len(parts) == 2:
        first, second = parts
        return lambda values, now: first(values, now) or second(values, now)

    def holds(values: Values, now: int) -> bool:
        return any(part(values, now) for part in parts)

    return holds


def _name_against(op: str, name: str, constant: Any) -> Truth:
    """Most clauses there are: a trait against a constant."""
    forms: dict[str, Truth] = {
        "eq": lambda values, now: values.get(name) == constant,
        "ne": lambda values, now: (value := values.get(name)) is not None and value != constant,
        "lt": lambda values, now: (value := values.get(name)) is not None and value < constant,
        "le": lambda values, now: (value := values.get(name)) is not None and value <= constant,
        "gt": lambda values, now: (value := values.get(name)) is not None and value > constant,
        "ge": lambda values, now: (value := values.get(name)) is not None and value >= constant,
    }
    return forms[op]


def _against(op: str, inner: Value, constant: Any) -> Truth:
    compare = _COMPARISONS[op]
    return lambda values, now: (value := inner(values, now)) is not None and compare(value, constant)
