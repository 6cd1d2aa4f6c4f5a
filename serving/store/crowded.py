"""Who is crowded at the head: nodes that the batch version counts as seen with many others, and those that epochs after its cut bring over. persons.py asks.

The number of others at the cut comes with the node's place where it is large. Pairs after the cut are counted on top; some of them the batch version knows too, so
only a node that may be over has its others looked at one by one, once in an epoch that shows it with another.
"""

from collections.abc import Iterable
from typing import Protocol

from millrace.identity.crowds import Crowding
from millrace.identity.rules import Rules
from serving.store.batch_base import Edge, Member, Place
from serving.store.sightings import Fresh, Sightings


class Neighbours(Protocol):
    """Of regrouping.NodeSource what is asked here."""

    def place(self, node: str) -> Place | None: ...

    def component(self, component: str) -> tuple[list[Member], list[Edge]]: ...


class Crowded:
    """Grows with the epochs. A decision that joins a crowded node with another does not count here: verdicts.py looks at those."""

    def __init__(self, rules: Rules) -> None:
        self._crowding, self._blocked = Crowding(rules), rules.blocked
        self._over: set[str] = set()

    def add(self, nodes: Iterable[str]) -> None:
        self._over.update(nodes)

    def among(self, nodes: Iterable[str], base: Neighbours) -> frozenset[str]:
        """Those of the nodes that are over by all that was seen up to now."""
        if not self._crowding:
            return frozenset()
        return frozenset(node for node in nodes if node in self._over or ((place := base.place(node)) and self._crowding.is_over(node, place.linked)))

    def brought(self, fresh: Fresh, linked: dict[str, int], base: Neighbours, sightings: Sightings) -> set[str]:
        """Nodes that a step of edges brings over. ``linked``: of its nodes those with many others at the cut."""
        if not self._crowding:
            return set()
        added = sightings.busy(fresh, self._crowding.least, linked)
        maybe = [node for node, count in added.items() if self._may_be(node, linked.get(node, 0), count)]
        if not maybe:
            return set()
        others: dict[str, set[str]] = {node: set() for node in maybe}
        pairs = [pair for pair, _ in sightings.touching(maybe, fresh)]
        for node in maybe:
            if place := base.place(node):
                pairs += [edge[:2] for edge in base.component(place.component)[1] if node in edge[:2]]
        for pair in pairs:
            for node, other in (pair, pair[::-1]):
                if node in others and other not in self._blocked:
                    others[node].add(other)
        return {node for node, found in others.items() if self._crowding.is_over(node, len(found))}

    def _may_be(self, node: str, linked: int, added: int) -> bool:
        over = node in self._over or node in self._blocked or self._crowding.is_over(node, linked)
        return not over and self._crowding.may_be_over(node, linked, added)
