"""What people have decided about who is one person: joins and parts that no rule and no edge overrules, and nodes taken out. verdicts.py keeps them."""

from dataclasses import dataclass
from functools import cached_property

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


def pair_of(one: str, other: str) -> Pair:
    return (one, other) if one < other else (other, one)
