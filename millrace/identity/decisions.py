"""What people have decided about who is one person: joins and parts that no rule and no edge overrules, and nodes taken out. verdicts.py keeps them.

Decisions are rows of ``identity/decisions``, numbered from 1, never changed. Those up to a number stand for one state of them, whoever reads it and when.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow.compute as pc

from millrace.tables.catalogue import DECISIONS
from millrace.tables.delta import TenantTables

Pair = tuple[str, str]


@dataclass(frozen=True)
class Decisions:
    """Those that stand after decision ``number``. ``joined``: pairs of nodes (smaller first) that are one person; ``parted``: pairs that never are;
    ``removed``: nodes that join nobody."""

    number: int = 0
    joined: frozenset[Pair] = frozenset()
    parted: frozenset[Pair] = frozenset()
    removed: frozenset[str] = frozenset()

    @cached_property
    def nodes(self) -> frozenset[str]:
        """All nodes that are joined, parted or removed."""
        return frozenset(node for pair in self.joined | self.parted for node in pair) | self.removed


UNDECIDED = Decisions()


def read_decisions(tables: TenantTables, *, upto: int | None = None) -> Decisions:
    """What stands after decision ``upto`` (default: the last one)."""
    return standing(tables.read(DECISIONS, where=None if upto is None else pc.field("decision_id") <= upto).to_pylist())


def decided_since(tables: TenantTables, number: int, now: Decisions) -> frozenset[str]:
    """Nodes that decisions were about after decision ``number``, or are now; nobody when none has been made since."""
    return now.nodes | read_decisions(tables, upto=number).nodes if now.number != number else frozenset()


def standing(rows: Iterable[Mapping[str, Any]]) -> Decisions:
    """What rows of the table, in any order, leave standing."""
    found = list(rows)
    stand = standing_rows(found)
    joined, parted = (frozenset(pair_of(row["a"], row["b"]) for row in stand if row["kind"] == kind) for kind in ("join", "part"))
    number = max((row["decision_id"] for row in found), default=0)
    return Decisions(number, joined, parted, frozenset(row["a"] for row in stand if row["kind"] == "remove"))


def standing_rows(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The joins, parts and removals that count: all but the withdrawn ones, and of those about one pair the newest."""
    ordered = sorted(rows, key=lambda row: row["decision_id"])
    withdrawn = {row["withdraws"] for row in ordered if row["kind"] == "withdraw"}
    counted = [row for row in ordered if row["kind"] != "withdraw" and row["decision_id"] not in withdrawn]
    return [*about_pairs(counted).values(), *(row for row in counted if row["kind"] == "remove")]


def about_pairs(rows: Iterable[Mapping[str, Any]]) -> dict[Pair, Mapping[str, Any]]:
    """The joins and parts by pair; of several about one pair the last."""
    return {pair_of(row["a"], row["b"]): row for row in rows if row["kind"] in ("join", "part")}


def contradiction(decisions: Decisions) -> Pair | None:
    """A parted pair that the joins would make one person; None when there is none."""
    group: dict[str, set[str]] = {}
    for pair in decisions.joined:
        whole = set(pair).union(*(group.get(node, ()) for node in pair))
        group.update(dict.fromkeys(whole, whole))
    return next((pair for pair in sorted(decisions.parted) if pair[1] in group.get(pair[0], ())), None)


def pair_of(one: str, other: str) -> Pair:
    return (one, other) if one < other else (other, one)
