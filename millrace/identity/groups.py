"""Nodes put together edge by edge, by number, never against a rule. verdicts.py asks where a limit is broken or a pair is parted."""

import numpy as np

ACCEPTED, PARTED = 0, 7
"""Numbers of verdicts.REASONS."""


class Groups:
    """Nodes that are joined pair by pair, never both of a parted pair, nor more values of a namespace than ``caps`` allows (by number of the namespace in
    ``space``, with the ``reasons`` an edge is refused for)."""

    def __init__(self, count: int, parted: np.ndarray, *, space: np.ndarray | None = None, caps: np.ndarray | None = None, reasons: np.ndarray | None = None) -> None:
        self._parent, self._sides = list(range(count)), _sides(parted)
        self._counted: list[tuple[int, int, dict[int, int]]] = []
        if space is not None and caps is not None and reasons is not None:
            numbered = enumerate(zip(caps.tolist(), reasons.tolist(), strict=True))
            self._counted = [(cap, reason, dict.fromkeys(np.flatnonzero(space == number).tolist(), 1)) for number, (cap, reason) in numbered if cap < count]

    def join(self, one: int, other: int, *, is_decided: bool) -> int:
        """Joins the groups of two nodes, a decided join against any cap; the number of the reason when that is refused."""
        one, other = self._root(one), self._root(other)
        if one == other:
            return ACCEPTED
        sides = self._sides
        if sides and not sides.get(one, _NONE).isdisjoint(sides.get(other, _NONE)):
            return PARTED
        if not is_decided:
            for cap, reason, have in self._counted:
                if have.get(one, 0) + have.get(other, 0) > cap:
                    return reason
        self._parent[other] = one
        for _, _, have in self._counted:
            if found := have.pop(other, 0):
                have[one] = have.get(one, 0) + found
        if sides and (ends := sides.pop(other, None)):
            sides[one] = sides.get(one, _NONE) | ends
        return ACCEPTED

    def roots(self) -> np.ndarray:
        """For each node a node that stands for its group."""
        return np.array([self._root(node) for node in range(len(self._parent))], np.int64)

    def _root(self, node: int) -> int:
        parent = self._parent
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node


_NONE: frozenset[int] = frozenset()


def _sides(parted: np.ndarray) -> dict[int, frozenset[int]]:
    """For each node the numbers of the parted pairs it is one end of."""
    sides: dict[int, frozenset[int]] = {}
    for number, pair in enumerate(parted.tolist()):
        for node in pair:
            sides[node] = sides.get(node, _NONE) | {number}
    return sides
