"""Filters written as one expression over paths of an event (``where: "properties.category = 'Coffee' or not traits.is_guest"``). filters.py parses and applies them.

A name is a path. It is read as what it is used as: number, text, or truth (the texts true and false). Where that is none, the value is unknown, and unknown is not true.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from millrace.enrichment.paths import is_known
from millrace.expressions import ExpressionError, Node, PythonForm, names_of, parse, thresholds_of
from millrace.traits.plain_values import plain_values

FILTER_PATH = re.compile(r"^(properties|traits|context|enriched)(\.[A-Za-z0-9_$-]+)+$|^(name|type|source)$")
RULE = "rule"
_READ_AS = {"integer": "number", "number": "number", "text": "text", "boolean": "boolean"}
_TRUTHS = {"true": True, "false": False}


@dataclass(frozen=True)
class Rule:
    """``names``: paths with what each is read as."""

    tree: Node
    names: tuple[tuple[str, str], ...]

    @property
    def reads(self) -> tuple[tuple[str, str], ...]:
        """(path, type of state value) of every path."""
        return tuple((name, "number" if kind == "number" else "string") for name, kind in self.names)

    def holds(self, column: Callable[[str, str], pa.ChunkedArray], among: np.ndarray) -> np.ndarray:
        """Whether it is true of each event that is ``among``."""
        rows = np.flatnonzero(among)
        columns = []
        for (_, kind), read in zip(self.names, self.reads, strict=True):
            values = plain_values(column(*read).take(pa.array(rows)).combine_chunks())
            columns.append([_TRUTHS.get(value) for value in values] if kind == "boolean" else values)
        names, is_true = [name for name, _ in self.names], PythonForm().is_true(self.tree)
        found = np.zeros(len(among), dtype=bool)
        found[rows] = [is_true(dict(zip(names, values, strict=True)), 0) for values in (zip(*columns, strict=True) if columns else [()] * len(rows))]
        return found


@lru_cache(1_000)
def rule_of(text: str) -> Rule:
    """The rule of a text; ValueError with every problem and its place."""
    try:
        tree = parse(text, lambda name: "any" if FILTER_PATH.match(name) and is_known(name) else None, wanted=["boolean"])
        kinds = {node.value: _READ_AS.get(node.type) for node in tree.walk() if node.op == "name"}
        if odd := [name for name, kind in kinds.items() if kind is None]:
            raise ValueError(f"where: {', '.join(odd)} is used as neither number, text nor truth; an event's values are compared as one of these")
        tree = parse(text, lambda name: kinds.get(name), wanted=["boolean"])
    except ExpressionError as error:
        raise ValueError("; ".join(f"where {problem}" for problem in error.problems)) from None
    if tree.looks_at_now or thresholds_of(tree):
        raise ValueError("where looks at one event, whenever it is read: neither now nor percentile have a place in it; use window")
    return Rule(tree, tuple((name, kinds[name]) for name in names_of(tree)))  # type: ignore[misc]
