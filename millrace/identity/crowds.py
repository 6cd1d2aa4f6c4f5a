"""Values seen with so many others that they are nobody's: junk on no list. Edges and ``crowded_from`` of identity.yml in; how many others a node was seen with, and who is
over, out. verdicts.py counts by number; who resolves a part of the edges (store, head, explain) asks ``crowded_nodes`` by name.

A function of the set of edges alone: distinct others that are not on the list of blocked values, whatever else is refused. So it only ever grows, and half of what
makes a node crowded is not kept for anybody (docs/adr/0022).
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.identity.decisions import Decisions
from millrace.identity.edges import touches
from millrace.identity.nodes import namespace_of
from millrace.identity.rules import ANY_NUMBER, Rules


def counted_from(most: int | None) -> int:
    """From how many others on a node's number of them is kept: half of what makes it crowded. Below that, what epochs add has to be more than was there."""
    return ANY_NUMBER if most is None else (most + 1) // 2


def linked_to(left: np.ndarray, right: np.ndarray, counts: np.ndarray, least: np.ndarray) -> np.ndarray:
    """How many distinct others each node is seen with, of those that count; zero for one with less than ``least``. Edges may come again and either way round."""
    linked = np.zeros(len(least), np.int64)
    at_most = np.bincount(left, minlength=len(least)) + np.bincount(right, minlength=len(least))
    busy = at_most >= least
    if not busy.any():
        return linked
    among = np.flatnonzero((busy[left] | busy[right]) & (left != right))
    one, other = np.r_[left[among], right[among]], np.r_[right[among], left[among]]
    asked = busy[one] & counts[other]
    pairs = np.unique(one[asked] * len(least) + other[asked])
    found = np.bincount(pairs // len(least), minlength=len(least))
    return np.where(found >= least, found, 0)


class Crowding:
    """``crowded_from`` by name of a node. False where no namespace has it."""

    def __init__(self, rules: Rules) -> None:
        self.most = {name: most for name, most in zip(rules.namespaces, rules.crowded_from, strict=True) if most is not None}
        self.least = min(map(counted_from, self.most.values()), default=ANY_NUMBER)
        """Fewer others than these are never kept."""

    def __bool__(self) -> bool:
        return bool(self.most)

    def is_over(self, node: str, linked: int) -> bool:
        return linked >= self.most.get(namespace_of(node), ANY_NUMBER)

    def may_be_over(self, node: str, linked: int, added: int) -> bool:
        """Whether a node with so many others at the cut (zero: fewer than are kept) can be over when so many were added."""
        most = self.most.get(namespace_of(node))
        return most is not None and (linked or counted_from(most) - 1) + added >= most


def crowded_nodes(rules: Rules, linked: Mapping[str, int], newer: pa.Table, touching: Callable[[pa.Array], pa.Table]) -> frozenset[str]:
    """Nodes that are over at the head. ``linked``: what batch/nodes keeps as of the cut; ``newer``: edges (a, b) after it, in any number; ``touching``: reads those of
    the batch version that have one of some nodes."""
    crowding = Crowding(rules)
    over = {node for node, count in linked.items() if crowding.is_over(node, count)}
    if not crowding:
        return frozenset()
    added = _others(newer, rules)
    maybe = sorted(node for node, count in _counts(added) if node not in over and crowding.may_be_over(node, linked.get(node, 0), count))
    if maybe:
        asked = pa.array(maybe, pa.string())
        both = pa.concat_tables([added, _others(touching(asked), rules)])
        over |= {node for node, count in _counts(both.filter(pc.is_in(both["node"], value_set=asked))) if crowding.is_over(node, count)}
    return frozenset(over)


def left_alone(crowded: frozenset[str], decisions: Decisions) -> frozenset[str]:
    """Those of the crowded that join nobody: a decision that joins a node with another says whose it is."""
    return crowded.difference(node for pair in decisions.joined for node in pair)


def _others(edges: pa.Table, rules: Rules) -> pa.Table:
    """Rows (node, other), both ways, of pairs whose other counts."""
    edges = edges.filter(pc.not_equal(edges["a"], edges["b"]))
    blocked = pa.array(sorted(rules.blocked), pa.string())
    if len(blocked):
        edges = edges.filter(pc.invert(touches(edges, blocked)))
    ways = [pa.table([edges[one], edges[other]], names=["node", "other"]) for one, other in (("a", "b"), ("b", "a"))]
    return pa.concat_tables(ways)


def _counts(others: pa.Table) -> Iterator[tuple[str, int]]:
    found = others.group_by("node").aggregate([("other", "count_distinct")])
    return zip(found["node"].to_pylist(), found["other_count_distinct"].to_pylist(), strict=True)
