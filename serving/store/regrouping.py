"""Groups whose edges may have to be refused, resolved again at node level. persons.py calls it; the rules and the verdict are millrace/identity/verdicts.py's.

A *region* is a set of units and all edges that touch them. Where values may become one or be parted (an alias, a decision), an edge that used to be
refused may join again: then nodes outside that an accepted edge leads to are taken in too, and values that may be one value, until no accepted edge leaves
the region.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from millrace.identity.decisions import Decisions, Pair
from millrace.identity.rules import ANY_NUMBER, Rules
from millrace.identity.verdicts import SHARED, Verdict, judge
from serving.store.batch_base import Edge, Member, Place
from serving.store.crowded import Crowded
from serving.store.sightings import Fresh, Position, Sightings


class NodeSource(Protocol):
    """Nodes as of the cut."""

    def person_of(self, node: str) -> str | None: ...

    def place(self, node: str) -> Place | None: ...

    def members(self, person_id: str) -> list[Member]:
        """By namespace priority."""
        ...

    def component(self, component: str) -> tuple[list[Member], list[Edge]]:
        """All members of a component's persons, and the edges that touch them, refused ones included, except those of blocked nodes."""
        ...


class Person(NamedTuple):
    """Members by namespace priority. ``of_batch``: the persons of the batch version he consists of, each with its members; for nodes of a person that has
    been parted, each node with itself."""

    id: str
    members: list[Member]
    of_batch: list[tuple[str, list[Member]]]


class Group(NamedTuple):
    """Units that edges join, with their number of values of each capped namespace. ``people``, where a limit is broken: for each node the nodes of its person."""

    units: tuple[str, ...]
    counts: tuple[int, ...] = ()
    people: Mapping[str, tuple[str, ...]] | None = None


@dataclass
class Change:
    """What some epochs or decisions add: nodes that are units from now on (``of_batch``: those batch knows, ``isolated``: those that join nobody) and groups by
    unit. ``contested``: components of batch that were met and consist of several persons. ``linked``: nodes that were met and had many others at the cut;
    ``crowded``: those that the edges bring over."""

    fresh: Fresh
    decisions: Decisions
    nodes: dict[str, Member] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    of_batch: set[str] = field(default_factory=set)
    isolated: set[str] = field(default_factory=set)
    contested: set[str] = field(default_factory=set)
    linked: dict[str, int] = field(default_factory=dict)
    crowded: set[str] = field(default_factory=set)

    @property
    def touched(self) -> set[str]:
        """Nodes whose person may be another one, or has other members, from this change on; with them all members of the persons they belong to."""
        return {*self.nodes, *self.fresh.names}


class Region:
    """Takes units in, then adds to the change what their edges make of their nodes. ``nodes``, ``of_batch``, ``groups`` are what is known from before."""

    def __init__(
        self, rules: Rules, base: NodeSource, change: Change, *, nodes: Mapping[str, Member], of_batch: set[str], groups: Mapping[str, Group], sightings: Sightings,
        crowded: Crowded,
    ) -> None:
        self._rules, self._base, self._change = rules, base, change
        self._nodes, self._of_batch, self._groups, self._sightings, self._crowded = nodes, of_batch, groups, sightings, crowded
        self._members: dict[str, Member] = {}
        self._pairs: dict[Pair, Position] = {}
        self._taken: set[str] = set()
        self._components: set[str] = set()
        self._untold: set[str] = set()
        unique = [f"{name}:" for name, is_unique in zip(rules.namespaces, rules.unique, strict=True) if is_unique]
        self._unique = tuple(unique)
        decided = change.decisions
        self._partners: dict[str, set[str]] = {}
        for one, other in decided.joined:
            self._partners.setdefault(one, set()).add(other)
            self._partners.setdefault(other, set()).add(one)
        self._decided = decided.nodes

    def take(self, units: Iterable[str]) -> None:
        """Takes in units with all they are grouped with."""
        for unit in units:
            if unit not in self._taken:
                group = self._groups.get(unit)
                whole = (unit,) if group is None else group.units
                self._taken.update(whole)
                for one in whole:
                    self._take(one)

    def take_nodes(self, nodes: Iterable[str]) -> None:
        """Takes in what nodes belong to; those nobody has seen are left out."""
        self.take([unit for node in nodes if node not in self._members and (unit := self._home(node)) is not None])

    def take_neighbours(self, nodes: set[str]) -> None:
        """Takes in what pairs join with the nodes."""
        self._look()
        self.take_nodes([node for pair in self._pairs if not nodes.isdisjoint(pair) for node in pair])

    def settle(self, *, is_open: bool = False) -> None:
        """Resolves the region and adds what comes of it to the change. ``is_open``: edges that used to be refused may join."""
        while True:
            self._look()
            inside = [pair for pair in self._pairs if pair[0] in self._members and pair[1] in self._members]
            is_open = is_open or self._may_join_again()
            names = sorted({*self._members, *(node for pair in self._pairs for node in pair)} if is_open else self._members)
            pairs = list(self._pairs) if is_open else inside
            verdict, number = self._judge(names, pairs)
            if not is_open or not self._reach_out(pairs, verdict, number):
                break
        self._add(names, verdict)

    def _home(self, node: str) -> str | None:
        if node in self._nodes or node in self._change.nodes:
            return node
        place = self._base.place(node)
        return None if place is None else place.component

    def _take(self, unit: str) -> None:
        own = self._change.nodes.get(unit) or self._nodes.get(unit)
        if own is None:
            members = self._take_component(unit)
            self._change.of_batch.update(member.node for member in members)
        else:
            members = [own]
            if unit in self._of_batch or unit in self._change.of_batch:
                place = self._base.place(unit)
                if place is not None and place.component not in self._components:
                    self._take_component(place.component)
        for member in members:
            if member.node not in self._members:
                self._members[member.node] = member
                self._untold.add(member.node)

    def _take_component(self, component: str) -> list[Member]:
        """Its edges join the pairs once; its members."""
        members, edges = self._base.component(component)
        if component not in self._components:
            self._components.add(component)
            for edge in edges:
                self._note((edge.a, edge.b), edge[2:])
        return members

    def _look(self) -> None:
        """Adds the pairs seen after the cut with nodes taken in since."""
        if self._untold:
            for pair, position in self._sightings.touching(self._untold, self._change.fresh):
                self._note(pair, position)
            self._untold.clear()

    def _note(self, pair: Pair, position: Position) -> None:
        known = self._pairs.get(pair)
        if known is None or position < known:
            self._pairs[pair] = position

    def _may_join_again(self) -> bool:
        return any(not self._decided.isdisjoint(pair) or (pair[0].startswith(self._unique) and _space(pair[0]) == _space(pair[1])) for pair in self._pairs) or (
            not self._decided.isdisjoint(self._members)
        )

    def _judge(self, names: list[str], pairs: list[Pair]) -> tuple[Verdict, dict[str, int]]:
        number = {name: at for at, name in enumerate(names)}
        left, right = (np.array([number[pair[end]] for pair in pairs], np.int64) for end in (0, 1))
        positions = [self._pairs[pair] for pair in pairs]
        rank = {position: at for at, position in enumerate(sorted(set(positions)))}
        age = np.array([rank[position] for position in positions], np.int64)
        crowded = self._crowded.among(names, self._base) | self._change.crowded
        return judge(pa.array(names, pa.string()), (left, right, age), self._rules, self._change.decisions, crowded), number

    def _reach_out(self, pairs: list[Pair], verdict: Verdict, number: dict[str, int]) -> bool:
        """Takes in what accepted edges, decisions and doubts lead to outside; whether there was anything."""
        outside = {node for at in np.flatnonzero(verdict.refused == 0).tolist() for node in pairs[at] if node not in self._members}
        outside |= self._in_doubt(pairs, verdict, number)
        outside |= {other for node in self._partners.keys() & self._members.keys() for other in self._partners[node] if other not in self._members}
        before = len(self._members)
        self.take_nodes(outside)
        return len(self._members) > before

    def _in_doubt(self, pairs: list[Pair], verdict: Verdict, number: dict[str, int]) -> set[str]:
        """Values that make a member shared, which may be one value by aliases and decisions outside. Those of a member with more of them than can be one are left out."""
        values: dict[tuple[str, str], set[str]] = {}
        for at in np.flatnonzero(verdict.refused == SHARED).tolist():
            for node, value in (pairs[at], pairs[at][::-1]):
                if value.startswith(self._unique) and node in self._members and verdict.isolated[number[node]] == SHARED:
                    values.setdefault((node, _space(value)), set()).add(value)
        found = [among for (node, space), among in values.items() if len(among) <= self._most_as_one(_space(node), space)]
        return {value for among in found for value in among if value not in self._members}

    def _most_as_one(self, shared: str, space: str) -> int:
        """More values than this are as many as make a node of the namespace ``shared`` shared, whatever aliases and decisions say."""
        rules = self._rules
        least = dict(zip(rules.namespaces, rules.shared_from, strict=True)).get(shared, 2) or ANY_NUMBER
        return rules.aliases[rules.namespaces.index(space)] * (least - 1 + len(self._partners))

    def _add(self, names: list[str], verdict: Verdict) -> None:
        change, members = self._change, self._members
        together: dict[int, list[str]] = {}
        people: dict[int, list[str]] = {}
        values: dict[int, list[str]] = {}
        for at, (name, component, person) in enumerate(zip(names, verdict.component.tolist(), verdict.person.tolist(), strict=True)):
            if name in members:
                together.setdefault(component, []).append(name)
                people.setdefault(person, []).append(name)
                if verdict.value[at] == at:
                    values.setdefault(component, []).append(name)
        change.nodes.update(members)
        change.isolated -= members.keys()
        change.isolated.update(names[at] for at in np.flatnonzero(verdict.isolated) if names[at] in members)
        person_of = {name: nodes for nodes in map(tuple, people.values()) for name in nodes}
        prefixes = [f"{name}:" for name, cap in zip(self._rules.namespaces, self._rules.caps, strict=True) if cap is not None]
        for component, units in together.items():
            parted = len(person_of[units[0]]) < len(units)
            counts = tuple(sum(unit.startswith(prefix) for unit in values.get(component, ())) for prefix in prefixes)
            group = Group(tuple(units), counts, {unit: person_of[unit] for unit in units} if parted else None)
            change.groups.update(dict.fromkeys(units, group))


def _space(node: str) -> str:
    return node.partition(":")[0]
