"""Whom to look at when memberships are settled: everybody, or those whom a publish can have moved and a share of the others. settling.py walks through them.

What a person belongs to follows from the bytes of his states, from who he is, and from the time. Of persons for whom the new version holds the same bytes as the
one before, and whom no epoch after either cut and no decision touches, nothing can be found that was not found at the last settlement, unless what is held was
damaged since: that is what the share is for. After ``TURNS`` publishes everybody has been looked at again (ADR 0017).
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

from serving.segments.state import Position, State
from serving.store.base_changes import differing
from serving.store.generation import Generation

TURNS = 32
FEW = 50
"""Persons that are looked at without a look at the clock."""
_RECORDS = 500


class Part(NamedTuple):
    """Some of them: nodes that lead to persons to look at, and ids of records whose person may be gone."""

    nodes: list[str]
    records: list[str]


class Everybody:
    """All persons of a generation, then all records."""

    unchanged = 0
    """Persons of the batch version that are not looked at."""

    def __init__(self, generation: Generation, state: State) -> None:
        self._generation, self._state = generation, state

    def parts(self) -> Iterator[Part]:
        everybody = self._generation.people()
        while people := list(islice(everybody, FEW)):
            yield Part([person.members[0].node for person in people], [])
        yield from (Part([], ids) for ids in _records(self._state))


class Affected:
    """Between the generation that everybody was settled under, which must stay open and is not advanced any more, and the one that follows it at the same point."""

    def __init__(self, old: Generation, new: Generation, state: State) -> None:
        self._old, self._new, self._state = old, new, state
        self._overlaid = old.overlaid | new.overlaid
        self._looked: set[str] = set()
        self._left: set[str] = set()

    @property
    def unchanged(self) -> int:
        """Persons of the new version that were not looked at, once all parts have been taken."""
        return self._new.base.count("persons") - sum(1 for person_id in self._looked | self._left if self._new.base.members(person_id))

    def parts(self) -> Iterator[Part]:
        old, new = self._old.base, self._new.base
        yield from self._of(self._overlaid)
        for nodes in differing(old, new, "states"):
            yield from self._of(nodes)
        for ids in chain(differing(old, new, "persons"), differing(old, new, "merged")):
            yield from self._of(member.node for person_id in ids for base in (old, new) for member in base.members(person_id))
        first, until = share((self._new.manifest_id or 0) % TURNS)
        yield from self._of(new.first_members(first, until))
        yield from (Part([], ids) for ids in _records(self._state, first, until))

    def _of(self, nodes: Iterable[str]) -> Iterator[Part]:
        """The persons of nodes, each once, and those they belonged to; an empty part at the end, for a look at the clock."""
        rest = iter(nodes)
        while some := list(islice(rest, FEW)):
            yield self._part(some)
        yield Part([], [])

    def _part(self, nodes: list[str]) -> Part:
        part = Part([], [])
        for node in nodes:
            now, before = self._new.person(node), self._old.person(node)
            if now is not None and now.id not in self._looked:
                self._looked.add(now.id)
                part.nodes.append(node)
            ids = {before.id if before else None, self._new.base.person_of(node)} - self._left - {None}
            self._left |= ids
            part.records.extend(ids)
        return part


def is_settled(old: Generation | None, new: Generation, position: Position) -> bool:
    """Whether everybody was looked at under ``old``, by the definitions of ``new``: then it is enough to look at whom the step between them can have moved."""
    return old is not None and old.manifest_id is not None and position.settled == old.manifest_id and old.definitions.hash == new.definitions.hash


def share(turn: int) -> tuple[str, str]:
    """The ids of persons whose turn it is: from the first to before the second."""
    width = 256 // TURNS
    return f"p_{turn * width:02x}", f"p_{(turn + 1) * width:02x}" if turn < TURNS - 1 else "p_g"


def _records(state: State, first: str = "", until: str = "") -> Iterator[list[str]]:
    """Ids of records in order, read anew for each list: what is looked at between may drop some."""
    after = first
    while records := [person_id for person_id, _ in state.records(after, _RECORDS) if not until or person_id < until]:
        yield records
        after = records[-1]
