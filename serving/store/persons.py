"""Who belongs together at the head: the persons of the batch version, joined and parted by the edges after its cut. generation.py and replay.py call it.

A *unit* is what edges join: a component of the batch version (by id; mostly one person) or a node that batch does not know. Units that are joined are
a *group*. While no group has more values of a namespace than the rules allow, a group is one person. Else regrouping.py resolves it again, node by
node, from its edges: from then on its nodes are units of their own. A person's id comes from the member the log shows first (ADR 0010).
"""

from collections.abc import Iterable

import pyarrow as pa

from millrace.identity import by_priority, person_id
from millrace.identity_rules import Rules
from serving.store.batch_base import Member
from serving.store.regrouping import Change, Group, NodeSource, Pair, Person, Position, regroup

FAR: Position = (1 << 62, 0, 0)


class Persons:
    """``find`` may be called under the store's lock while another thread prepares the next change; ``apply`` needs the lock.

    ``_nodes`` are units of their own; those of them that batch knows are in ``_of_batch``. ``_edges``: for each unit the pairs seen after the cut that
    may join, by the unit of their first node. ``_isolated``: shared since the cut.
    """

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._capped = tuple((f"{name}:", cap) for name, cap in zip(rules.namespaces, rules.caps, strict=True) if cap is not None)
        self._single = tuple(prefix for prefix, cap in self._capped if cap == 1)
        self._nodes: dict[str, Member] = {}
        self._of_batch: set[str] = set()
        self._groups: dict[str, Group] = {}
        self._edges: dict[str, dict[Pair, Position]] = {}
        self._isolated: set[str] = set()

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

    def prepare(self, edges: pa.Table, base: NodeSource) -> Change:
        """The change that rows of the edges table bring; they may come in any order and repeat each other."""
        change = Change()
        positions = edges["first_seen"].combine_chunks()
        columns = [edges[name].to_pylist() for name in ("a", "b", "hint_a", "hint_b")] + [
            positions.field(name).to_pylist() for name in ("epoch", "partition", "offset")
        ]
        joined: dict[str, list[str]] = {}
        for a, b, hint_a, hint_b, *position in zip(*columns, strict=True):
            left = self._unit(Member(a, hint_a, *position), base, change)
            right = self._unit(Member(b, hint_b, *position), base, change)
            if left is None or right is None or a == b or (left != right and self._are_twins(a, b)) or not self._note(left, (a, b), (*position,), change):
                continue
            if left != right or self._is_contested(left, change):
                self._join(left, right, joined)
        self._settle({id(units): units for units in joined.values()}.values(), base, change)
        return change

    def apply(self, change: Change) -> None:
        self._nodes.update(change.nodes)
        self._of_batch |= change.of_batch
        self._groups.update(change.groups)
        self._isolated |= change.isolated
        for unit in change.dissolved:
            self._edges.pop(unit, None)
        for unit, pairs in change.edges.items():
            self._edges.setdefault(unit, {}).update(pairs)

    def _unit(self, member: Member, base: NodeSource, change: Change) -> str | None:
        """The unit of a node, which is registered when it is new; None when it joins nobody."""
        node = member.node
        if node not in self._nodes:
            if known := change.nodes.get(node):
                if member[2:] < known[2:]:
                    change.nodes[node] = member
            elif place := base.place(node):
                if place.contested:
                    change.contested.add(place.component)
                return None if place.isolated else place.component
            else:
                change.nodes[node] = member
        return None if node in self._isolated or node in self._rules.blocked else node

    def _are_twins(self, a: str, b: str) -> bool:
        """Two values of a namespace that allows one."""
        return any(a.startswith(prefix) and b.startswith(prefix) for prefix in self._single)

    def _is_contested(self, unit: str, change: Change) -> bool:
        group = self._groups.get(unit)
        return unit in change.contested or (group is not None and group.people is not None)

    def _note(self, unit: str, pair: Pair, position: Position, change: Change) -> bool:
        """Keeps a pair; False when it was seen before, no later."""
        for kept in (self._edges.get(unit), change.edges.get(unit)):
            if kept and kept.get(pair, FAR) <= position:
                return False
        change.edges.setdefault(unit, {})[pair] = position
        return True

    def _join(self, left: str, right: str, joined: dict[str, list[str]]) -> None:
        longer, shorter = self._group(left, joined), self._group(right, joined)
        if longer is shorter:
            return
        if len(shorter) > len(longer):
            longer, shorter = shorter, longer
        longer += shorter
        joined.update(dict.fromkeys(shorter, longer))

    def _group(self, unit: str, joined: dict[str, list[str]]) -> list[str]:
        """The list of units a unit is joined with, the same object for all of them."""
        if unit not in joined:
            known = self._groups.get(unit)
            group = list(known.units if known else (unit,))
            joined.update(dict.fromkeys(group, group))
        return joined[unit]

    def _settle(self, groups: Iterable[list[str]], base: NodeSource, change: Change) -> None:
        """Groups that keep within the rules are persons; the others are resolved again, together."""
        again: list[list[str]] = []
        for units in groups:
            counts = None if any(self._is_contested(unit, change) for unit in units) else self._counts(units, base, change)
            if counts is None or any(count > cap for count, (_, cap) in zip(counts, self._capped, strict=True)):
                again.append(units)
            else:
                change.groups.update(dict.fromkeys(units, Group(tuple(units), counts)))
        if again:
            regroup(again, self._rules, base, change, nodes=self._nodes, edges=self._edges)

    def _counts(self, units: list[str], base: NodeSource, change: Change) -> tuple[int, ...]:
        """How many values of each capped namespace the units have."""
        if not self._capped:
            return ()
        counts, counted = [0] * len(self._capped), set()
        for unit in units:
            group = self._groups.get(unit)
            if group is not None:
                if id(group) in counted:
                    continue
                counted.add(id(group))
                found: Iterable[int] = group.counts
            else:
                nodes = [unit] if unit in self._nodes or unit in change.nodes else [member.node for member in base.members(unit)]
                found = (sum(node.startswith(prefix) for node in nodes) for prefix, _ in self._capped)
            counts = [sum(pair) for pair in zip(counts, found, strict=True)]
        return tuple(counts)


def anchor(members: Iterable[Member]) -> str:
    """The member the log shows first."""
    return min((member[2:], member.node) for member in members)[1]
