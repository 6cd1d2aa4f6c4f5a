"""Who belongs together at the head: the persons of the batch version, joined by the edges after its cut. generation.py and replay.py call it.

A *unit* is what edges join: a person of the batch version (by id) or a node that batch does not know yet. A person at the head is a set of
units; its id comes from the member the log shows first, which is what batch would say at that head.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import pyarrow as pa

from millrace.identity import by_priority, person_id
from serving.store.batch_base import Member


class NodeSource(Protocol):
    """Nodes as of the cut."""

    def person_of(self, node: str) -> str | None: ...

    def members(self, person_id: str) -> list[Member]:
        """By namespace priority."""
        ...


class Person(NamedTuple):
    """Members by namespace priority. ``of_batch``: the persons of the batch version he consists of, each with its members."""

    id: str
    members: list[Member]
    of_batch: list[tuple[str, list[Member]]]


@dataclass
class Change:
    """What some epochs add: nodes that were unknown, and for each unit they join the units it is joined with."""

    nodes: dict[str, Member] = field(default_factory=dict)
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)


class Persons:
    """``find`` may be called under the store's lock while another thread prepares the next change; ``apply`` needs the lock."""

    def __init__(self) -> None:
        self._nodes: dict[str, Member] = {}
        self._groups: dict[str, tuple[str, ...]] = {}

    def find(self, node: str, base: NodeSource) -> Person | None:
        """The person a node belongs to; None for a node nobody has seen."""
        unit = node if node in self._nodes else base.person_of(node)
        if unit is None:
            return None
        units = self._groups.get(unit)
        if units is None and unit != node:
            members = base.members(unit)
            return Person(unit, members, [(unit, members)])
        units = units or (unit,)
        of_batch = [(one, base.members(one)) for one in units if one not in self._nodes]
        found = {one: self._nodes[one] for one in units if one in self._nodes}
        found |= {member.node: member for _, members in of_batch for member in members}
        return Person(person_id(anchor(found.values())), [found[node] for node in by_priority(found)], of_batch)

    def prepare(self, edges: pa.Table, base: NodeSource) -> Change:
        """The change that rows of the edges table bring; they may come in any order and repeat each other."""
        change = Change()
        positions = edges["first_seen"].combine_chunks()
        columns = [edges[name].to_pylist() for name in ("a", "b", "hint_a", "hint_b")] + [
            positions.field(name).to_pylist() for name in ("epoch", "partition", "offset")
        ]
        groups: dict[str, list[str]] = {}
        for a, b, hint_a, hint_b, *position in zip(*columns, strict=True):
            left = self._unit(Member(a, hint_a, *position), base, change)
            right = self._unit(Member(b, hint_b, *position), base, change)
            if left != right:
                self._join(left, right, groups)
        for group in {id(group): group for group in groups.values()}.values():
            units = tuple(group)
            change.groups.update(dict.fromkeys(units, units))
        return change

    def apply(self, change: Change) -> None:
        self._nodes.update(change.nodes)
        self._groups.update(change.groups)

    def _unit(self, member: Member, base: NodeSource, change: Change) -> str:
        node = member.node
        if node in self._nodes:
            return node
        if known := change.nodes.get(node):
            if member[2:] < known[2:]:
                change.nodes[node] = member
            return node
        unit = base.person_of(node)
        if unit is None:
            change.nodes[node] = member
            return node
        return unit

    def _join(self, left: str, right: str, groups: dict[str, list[str]]) -> None:
        known = self._groups.get(left)
        if known is not None and known is self._groups.get(right):
            return
        longer, shorter = self._group(left, groups), self._group(right, groups)
        if longer is shorter:
            return
        if len(shorter) > len(longer):
            longer, shorter = shorter, longer
        longer += shorter
        groups.update(dict.fromkeys(shorter, longer))

    def _group(self, unit: str, groups: dict[str, list[str]]) -> list[str]:
        """The list of units a unit is joined with, the same object for all of them."""
        if unit not in groups:
            group = list(self._groups.get(unit, (unit,)))
            groups.update(dict.fromkeys(group, group))
        return groups[unit]


def anchor(members: Iterable[Member]) -> str:
    """The member the log shows first."""
    return min((member[2:], member.node) for member in members)[1]
