"""Groups whose edges may have to be refused, resolved again at node level. persons.py calls it; the rules and the verdict are millrace/resolution.py's."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa

from millrace.identity_rules import Rules
from millrace.resolution import judge
from serving.store.batch_base import Edge, Member, Place

Pair = tuple[str, str]
Position = tuple[int, int, int]


class NodeSource(Protocol):
    """Nodes as of the cut."""

    def person_of(self, node: str) -> str | None: ...

    def place(self, node: str) -> Place | None: ...

    def members(self, person_id: str) -> list[Member]:
        """By namespace priority."""
        ...

    def component(self, component: str) -> tuple[list[Member], list[Edge]]:
        """All members of a component's persons, and the edges between them, refused ones included."""
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
    """What some epochs add: nodes that are units from now on (``of_batch``: those batch knows), groups by unit, nodes that have become shared, pairs.
    ``dissolved``: units whose pairs are kept elsewhere now. ``contested``: components of batch that were met and consist of several persons."""

    nodes: dict[str, Member] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    edges: dict[str, dict[Pair, Position]] = field(default_factory=dict)
    of_batch: set[str] = field(default_factory=set)
    isolated: set[str] = field(default_factory=set)
    dissolved: set[str] = field(default_factory=set)
    contested: set[str] = field(default_factory=set)


def regroup(groups: Iterable[list[str]], rules: Rules, base: NodeSource, change: Change, *, nodes: Mapping[str, Member], edges: Mapping[str, dict[Pair, Position]]) -> None:
    """Adds to the change what the edges of the groups make of their nodes. ``nodes`` and ``edges`` are what is known from before the change."""
    members: dict[str, Member] = {}
    pairs: dict[Pair, Position] = {}
    for unit in (unit for units in groups for unit in units):
        found: list[tuple[Pair, Position]] = [*edges.get(unit, {}).items(), *change.edges.pop(unit, {}).items()]
        if own := change.nodes.get(unit) or nodes.get(unit):
            members[unit] = own
        else:
            inside, between = base.component(unit)
            members.update((member.node, member) for member in inside)
            change.of_batch.update(member.node for member in inside)
            found += [((edge.a, edge.b), edge[2:]) for edge in between]
        for pair, position in found:
            pairs[pair] = min(pairs.get(pair, position), position)
        change.dissolved.add(unit)
    change.nodes.update(members)
    names = sorted(members)
    number = {name: at for at, name in enumerate(names)}
    kept = [(pair, position) for pair, position in pairs.items() if pair[0] in number and pair[1] in number]
    left, right = (np.array([number[pair[end]] for pair, _ in kept], np.int64) for end in (0, 1))
    rank = {position: at for at, position in enumerate(sorted({position for _, position in kept}))}
    age = np.array([rank[position] for _, position in kept], np.int64)
    verdict = judge(pa.array(names, pa.string()), (left, right, age), rules)
    change.isolated.update(names[at] for at in np.flatnonzero(verdict.isolated))
    component, person = verdict.component.tolist(), verdict.person.tolist()
    for pair, position in kept:
        if component[number[pair[0]]] == component[number[pair[1]]]:
            change.edges.setdefault(pair[0], {})[pair] = position
    _add_groups(change, names, component, person, rules)


def _add_groups(change: Change, names: list[str], component: list[int], person: list[int], rules: Rules) -> None:
    together: dict[int, list[str]] = {}
    people: dict[int, list[str]] = {}
    for name, of_component, of_person in zip(names, component, person, strict=True):
        together.setdefault(of_component, []).append(name)
        people.setdefault(of_person, []).append(name)
    fixed = {one: tuple(members) for one, members in people.items()}
    person_of = dict(zip(names, person, strict=True))
    prefixes = [f"{name}:" for name, cap in zip(rules.namespaces, rules.caps, strict=True) if cap is not None]
    for units in together.values():
        parted = len({person_of[unit] for unit in units}) > 1
        counts = tuple(sum(unit.startswith(prefix) for unit in units) for prefix in prefixes)
        group = Group(tuple(units), counts, {unit: fixed[person_of[unit]] for unit in units} if parted else None)
        change.groups.update(dict.fromkeys(units, group))
