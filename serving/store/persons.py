"""Who belongs together at the head: the persons of the batch version, joined and parted by the edges after its cut and by decisions since. generation.py and replay.py call it.

A *unit* is what edges join: a component of the batch version (by id; mostly one person) or a node that batch does not know. Units that are joined are
a *group*. While no group has more values of a namespace than the rules allow, and no decision is about one of its nodes, a group is one person. Else
regrouping.py resolves it again, node by node, from its edges: from then on its nodes are units of their own. A person's id comes from the member the
log shows first (ADR 0010).
"""

from collections.abc import Collection, Iterable

import pyarrow as pa

from millrace.identity.decisions import UNDECIDED, Decisions
from millrace.identity.nodes import by_priority, person_id
from millrace.identity.rules import Rules
from serving.store.batch_base import Member
from serving.store.crowded import Crowded
from serving.store.regrouping import Change, Group, NodeSource, Person, Region
from serving.store.sightings import NOTHING_FRESH, Sightings

NAMED_AT_ONCE = 10_000


class Persons:
    """``find`` may be called under the store's lock while another thread prepares the next change; ``apply`` needs the lock.

    ``_nodes`` are units of their own; those of them that batch knows are in ``_of_batch``, those that join nobody in ``_isolated``.
    """

    def __init__(self, rules: Rules, decisions: Decisions = UNDECIDED) -> None:
        self._rules, self.decisions = rules, decisions
        self._capped = tuple((f"{name}:", cap) for name, cap in zip(rules.namespaces, rules.caps, strict=True) if cap is not None)
        self._nodes: dict[str, Member] = {}
        self._of_batch: set[str] = set()
        self._groups: dict[str, Group] = {}
        self._isolated: set[str] = set()
        self._sightings, self._crowded = Sightings(), Crowded(rules)
        self._decided_for, self._decided_units = UNDECIDED, set[str]()
        self._unnamed: list[str] = []
        self._anchors: dict[str, str] = {}

    @property
    def nodes(self) -> Collection[str]:
        """Nodes that batch does not know, or not as they are now."""
        return self._nodes.keys()

    def overlaid(self, base: NodeSource) -> set[str]:
        """Nodes that batch does not know, or not as they are now, and those of its persons that anything joins."""
        return {*self._nodes, *(member.node for unit in self._groups if unit not in self._nodes for member in base.component(unit)[0])}

    def find(self, node: str, base: NodeSource) -> Person | None:
        """The person a node belongs to; None for a node nobody has seen."""
        unit = node if node in self._nodes else base.person_of(node)
        if unit is None:
            return None
        group = self._groups.get(unit)
        if group is None and unit != node:
            members = base.members(unit)
            return Person(unit, members, [(unit, members)])
        units = (unit,) if group is None else group.units if group.people is None else group.people[node]
        of_batch = [(one, base.members(one)) for one in units if one not in self._nodes]
        found = {one: self._nodes[one] for one in units if one in self._nodes}
        of_batch += [(one, [member]) for one, member in found.items() if one in self._of_batch]
        found |= {member.node: member for _, members in of_batch for member in members}
        return Person(person_id(anchor(found.values())), [found[node] for node in by_priority(found)], of_batch)

    def name_some(self) -> bool:
        """Works out the ids that some of the nodes give to persons, so that ``anchors`` knows them; False when all are known. Needs the lock, like ``apply``."""
        some, self._unnamed = self._unnamed[-NAMED_AT_ONCE:], self._unnamed[:-NAMED_AT_ONCE]
        self._anchors.update((person_id(node), node) for node in some)
        return bool(self._unnamed)

    @property
    def anchors(self) -> dict[str, str]:
        """The node that gives a person an id, of nodes met after the cut."""
        return self._anchors

    def prepare(self, edges: pa.Table, base: NodeSource) -> Change:
        """The change that rows of the edges table bring; they may come in any order and repeat each other."""
        fresh = self._sightings.read(edges)
        change = Change(fresh, self.decisions)
        units = [self._unit(node, at, base, change) for at, node in enumerate(fresh.names)]
        joined: dict[str, list[str]] = {}
        for at, other in zip(fresh.left, fresh.right, strict=True):
            left, right = units[at], units[other]
            if left is not None and right is not None and (left != right or self._is_contested(left, change)):
                self._join(left, right, joined)
        for node in change.nodes.keys() & self.decisions.nodes:
            self._group(node, joined)
        change.crowded = self._crowded.brought(fresh, change.linked, base, self._sightings)
        if joined or change.crowded:
            self._settle({id(units): units for units in joined.values()}.values(), base, change)
        return change

    def redecide(self, decisions: Decisions, base: NodeSource) -> Change:
        """The change that other decisions bring to what has been seen."""
        change = Change(NOTHING_FRESH, decisions)
        before = self.decisions
        pairs = (before.joined ^ decisions.joined) | (before.parted ^ decisions.parted)
        removed = before.removed ^ decisions.removed
        region, moved = self._region(base, change), {node for pair in pairs for node in pair}
        region.take_nodes(moved | removed)
        region.take_neighbours(removed | self._crowded.among(moved, base))
        region.settle(is_open=True)
        return change

    def apply(self, change: Change) -> None:
        self.decisions = change.decisions
        self._sightings.add(change.fresh)
        self._crowded.add(change.crowded)
        self._unnamed += change.nodes.keys() - self._nodes.keys()
        self._nodes.update(change.nodes)
        self._of_batch |= change.of_batch
        self._groups.update(change.groups)
        self._isolated -= change.nodes.keys()
        self._isolated |= change.isolated

    def _unit(self, node: str, at: int, base: NodeSource, change: Change) -> str | None:
        """The unit of a node, which is registered when it is new; None when it joins nobody."""
        if node not in self._nodes:
            if place := base.place(node):
                if place.linked:
                    change.linked[node] = place.linked
                if place.contested:
                    change.contested.add(place.component)
                return None if place.isolated else place.component
            change.nodes[node] = change.fresh.member(at)
            if node in self._rules.blocked or node in self.decisions.removed:
                change.isolated.add(node)
                return None
            return node
        if node in self._of_batch and (place := base.place(node)) and place.linked:
            change.linked[node] = place.linked
        return None if node in self._isolated else node

    def _is_contested(self, unit: str, change: Change) -> bool:
        group = self._groups.get(unit)
        return unit in change.contested or (group is not None and group.people is not None)

    def _join(self, left: str, right: str, joined: dict[str, list[str]]) -> None:
        longer, shorter = self._group(left, joined), self._group(right, joined)
        if longer is shorter:
            return
        if len(shorter) > len(longer):
            longer, shorter = shorter, longer
        longer += shorter
        for unit in shorter:
            joined[unit] = longer

    def _group(self, unit: str, joined: dict[str, list[str]]) -> list[str]:
        """The list of units a unit is joined with, the same object for all of them."""
        found = joined.get(unit)
        if found is None:
            known = self._groups.get(unit)
            found = [unit] if known is None else list(known.units)
            for one in found:
                joined[one] = found
        return found

    def _settle(self, groups: Iterable[list[str]], base: NodeSource, change: Change) -> None:
        """Groups that keep within the rules are persons; the others are resolved again, together: all of them when a node has become crowded, because those it
        was seen with may not be shared any more."""
        if change.crowded:
            region = self._region(base, change)
            region.take(unit for units in groups for unit in units)
            region.take_nodes(change.crowded)
            region.take_neighbours(change.crowded)
            region.settle(is_open=True)
            return
        decided = self._decided(base)
        again: list[str] = []
        for units in groups:
            counts = self._counts(units, decided, base, change)
            if counts is None:
                again += units
            else:
                change.groups.update(dict.fromkeys(units, Group(tuple(units), counts)))
        if again:
            region = self._region(base, change)
            region.take(again)
            region.settle()

    def _region(self, base: NodeSource, change: Change) -> Region:
        return Region(self._rules, base, change, nodes=self._nodes, of_batch=self._of_batch, groups=self._groups, sightings=self._sightings, crowded=self._crowded)

    def _decided(self, base: NodeSource) -> set[str]:
        """Units that decisions are about: their nodes, and the components of batch that hold one; looked up once for each state of the decisions."""
        if self._decided_for is not self.decisions:
            places = (base.place(node) for node in self.decisions.nodes)
            self._decided_units = {*self.decisions.nodes, *(place.component for place in places if place)}
            self._decided_for = self.decisions
        return self._decided_units

    def _counts(self, units: list[str], decided: set[str], base: NodeSource, change: Change) -> tuple[int, ...] | None:
        """How many values of each capped namespace the units have; None when rules or decisions have to be looked at for each node of them."""
        counts, counted, capped = [0] * len(self._capped), set(), self._capped
        for unit in units:
            if unit in decided or unit in change.contested:
                return None
            group = self._groups.get(unit)
            if group is None:
                nodes = (unit,) if unit in change.nodes or unit in self._nodes else [member.node for member in base.members(unit)]
                for number, (prefix, _) in enumerate(capped):
                    for node in nodes:
                        if node.startswith(prefix):
                            counts[number] += 1
            elif group.people is not None:
                return None
            elif group.units[0] not in counted:
                counted.add(group.units[0])
                for number, count in enumerate(group.counts):
                    counts[number] += count
        for count, (_, cap) in zip(counts, capped, strict=True):
            if count > cap:
                return None
        return tuple(counts)


def anchor(members: Iterable[Member]) -> str:
    """The member the log shows first."""
    return min((member[2:], member.node) for member in members)[1]
