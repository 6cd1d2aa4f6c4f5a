"""The tree of an expression: what the parser builds, the checker types and the three forms (Python, Spark Column, DuckDB SQL) are made of."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from millrace.errors import ConfigurationError
from millrace.traits.algebra import UNIT

TYPES = ("integer", "number", "text", "time", "duration", "boolean", "list", "times")
"""integer: 64 bits. number: decimal with nine digits after the point, held as an integer scaled by 10**9. time, duration: microseconds. list: of text. times: ascending."""
LIMIT = 10**20 * UNIT
"""Arithmetic of numbers knows 20 digits before the point: where an operand or the result has more, the result is unknown, in every form."""
LEAST_INTEGER, MOST_INTEGER = -(2**63), 2**63 - 1
"""Arithmetic of integers, times and durations: beyond these the result is unknown."""
FIRST_TIME, LAST_TIME = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The years 1 to 9999: the calendar of other times is unknown."""
DAY_MICROS, HOUR_MICROS = 86_400_000_000, 3_600_000_000


@dataclass(frozen=True, slots=True)
class Node:
    """One operation. ``type`` is empty until checked; ``value``: of a literal, or the name, function or option of the operation; ``at``: its place in the text."""

    op: str
    type: str = ""
    args: tuple["Node", ...] = ()
    value: Any = None
    at: int = 0

    def typed(self, type: str, *args: "Node", value: Any = None) -> "Node":
        return replace(self, type=type, args=args, value=self.value if value is None else value)

    def walk(self) -> Iterator["Node"]:
        yield self
        for arg in self.args:
            yield from arg.walk()

    @property
    def looks_at_now(self) -> bool:
        return any(node.op in ("now", "not_followed_by") for node in self.walk())


@dataclass(frozen=True)
class Problem:
    """What is wrong at a place of the text (0 is its first character)."""

    at: int
    message: str

    def __str__(self) -> str:
        return f"at {self.at + 1}: {self.message}"


class ExpressionError(ConfigurationError):
    """An expression that cannot be used; ``found`` lists every problem with its place."""

    def __init__(self, found: list[Problem]) -> None:
        self.found = sorted(dict.fromkeys(found), key=lambda problem: problem.at)
        super().__init__([str(problem) for problem in self.found])


def names_of(tree: Node) -> tuple[str, ...]:
    """Names a tree reads, each once, in order of appearance; nested segments are not among them."""
    return tuple(dict.fromkeys(node.value for node in tree.walk() if node.op == "name"))


def segments_of(tree: Node) -> tuple[str, ...]:
    """Segments a tree names itself."""
    return tuple(dict.fromkeys(node.value for node in tree.walk() if node.op == "segment"))


def thresholds_of(tree: Node) -> tuple[tuple[str, str, int], ...]:
    """Thresholds a tree needs: (trait, ``reaches`` or ``passes``, percentile scaled by 10**9); a publish settles them."""
    return tuple(dict.fromkeys(node.value for node in tree.walk() if node.op == "threshold"))
