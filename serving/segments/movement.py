"""From what is true of a person to changes of his memberships: compares verdicts with records and collects the rows of a batch. following.py calls it.

Of each person time only goes forward: before a step touches somebody his timers up to that moment are fired, on the state he had until then.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable

from millrace.errors import CoverageError
from serving.segments.judging import NOWHERE, Judge, Judgement
from serving.segments.state import Record, Row, State
from serving.store.answers import Pinned
from serving.store.generation import Generation, Step
from serving.store.regrouping import Change

EVENT, TIME, MERGE, SPLIT, PUBLISH, DEFINITION, DECISION = "event", "time", "merge", "split", "publish", "definition", "decision"
ENTERED, LEFT = "entered", "left"
Homes = dict[str, frozenset[str]]
"""Persons by id, with their nodes."""


class Movements:
    """``rows`` are the changes since ``taken``. ``found`` counts those of segments that were not expected to change (settling.py reads it)."""

    def __init__(self, state: State, clock: Callable[[], int]) -> None:
        self.rows: list[Row] = []
        self.found: Counter[tuple[str, str]] = Counter()
        self._state, self._clock = state, clock

    def use(self, generation: Generation, judge: Judge) -> None:
        """What persons are looked at through from now on."""
        self._generation, self._judge = generation, judge

    def taken(self) -> list[Row]:
        rows, self.rows = self.rows, []
        return rows

    def step(self, step: Step, committed_at: int) -> None:
        """Takes an epoch in: everybody it touches is looked at as of the moment it came to exist."""
        before = self._ready(step.touched, committed_at)
        self._generation.apply(step, committed_at=committed_at)
        self._generation.applied()
        self._look_again(before, step.touched, at=committed_at)

    def decide(self, change: Change, at: int) -> None:
        """Takes in what decisions make of persons."""
        before = self._ready(change.touched, at)
        self._generation.take(change)
        self._look_again(before, change.touched, at=at, because=DECISION)

    def fire(self, person_id: str, until: int) -> None:
        """Looks at a person as of each instant up to ``until`` at which something could change by itself."""
        record = self._state.get(person_id)
        while record is not None and record.due is not None and record.due <= until:
            pinned = self._generation.pin(record.node)
            if pinned is None or pinned.person.id != person_id:
                raise CoverageError("a timer leads to somebody else; stop the follower, remove its folder `segments`, start it: it is made again from the tables")
            self._compare(pinned, record.due, TIME, record=record)
            record = self._state.get(person_id)

    def look(self, pinned: Pinned, at: int, because: str) -> Judgement:
        """The verdict about a person now, after his timers."""
        person_id = pinned.person.id
        self.fire(person_id, at)
        record = self._state.get(person_id)
        return self._compare(pinned, max(at, record.at if record else 0), because, record=record)

    def leave(self, person_id: str, at: int, because: str) -> None:
        """There is no such person any more."""
        if (record := self._state.get(person_id)) is not None:
            self._note(person_id, record, NOWHERE, at=max(at, record.at), because=because)
            self._state.drop(person_id, record)

    def _ready(self, touched: Collection[str], until: int) -> Homes:
        """The persons that touched nodes belong to so far, their timers fired."""
        homes: Homes = {}
        covered: set[str] = set()
        for node in touched:
            if node not in covered and (person := self._generation.person(node)) is not None:
                homes[person.id] = nodes = frozenset(member.node for member in person.members)
                covered |= nodes
                self.fire(person.id, until)
        return homes

    def _look_again(self, before: Homes, touched: Collection[str], *, at: int, because: str = "") -> None:
        home = {node: person_id for person_id, nodes in before.items() for node in nodes}
        now: dict[str, tuple[Pinned, set[str]]] = {}
        covered: set[str] = set()
        for node in (*touched, *home):
            if node not in covered and (pinned := self._generation.pin(node)) is not None:
                nodes = {member.node for member in pinned.person.members}
                covered |= nodes
                now[pinned.person.id] = pinned, {home[one] for one in nodes if one in home}
        parts = Counter(origin for _, origins in now.values() for origin in origins)
        for person_id in before.keys() - now.keys():
            self.leave(person_id, at, because or (SPLIT if parts[person_id] > 1 else MERGE))
        for person_id, (pinned, origins) in now.items():
            record = self._state.get(person_id)
            why = because or _why(origins, parts)
            self._compare(pinned, max(at, record.at if record else 0), why, record=record, is_new=not origins)

    def _compare(self, pinned: Pinned, at: int, because: str, *, record: Record | None, is_new: bool = False) -> Judgement:
        """Notes what has changed of a person and keeps what is true now; ``record``: what was held."""
        person_id = pinned.person.id
        judgement = self._judge.judge(pinned, at)
        since = {} if record is None else record.since
        if judgement.names != since.keys():
            self._note(person_id, record, judgement, at=at, because=because, is_new=is_new)
            since = {name: since.get(name, at) for name in judgement.names}
        kept = Record(pinned.person.members[0].node, at, self._judge.rules.hash, judgement.due, since)
        self._state.put(person_id, kept, record)
        return judgement

    def _note(self, person_id: str, record: Record | None, judgement: Judgement, *, at: int, because: str, is_new: bool = False) -> None:
        since: Collection[str] = () if record is None else record.since
        other_rules = not is_new and (record is None or record.rules != self._judge.rules.hash)
        for change, names in ((ENTERED, judgement.names.difference(since)), (LEFT, set(since).difference(judgement.names))):
            for name in sorted(names):
                is_redefined = other_rules and name in self._state.position.pending
                if because == PUBLISH and not is_redefined:
                    self.found[name, change] += 1
                self.rows.append(self._row(name, person_id, change, at=at, because=DEFINITION if is_redefined else because))

    def _row(self, name: str, person_id: str, change: str, *, at: int, because: str) -> Row:
        point, rules = self._generation.point, self._judge.rules.hash
        identity = "\0".join(map(str, (name, person_id, change, at, point.head, point.decisions, point.manifest_id, rules)))
        change_id = hashlib.sha256(identity.encode()).hexdigest()[:32]
        return Row(change_id, name, person_id, change, at, self._clock(), because, point.head, point.manifest_id, point.decisions, rules)


def _why(origins: Iterable[str], parts: Counter[str]) -> str:
    """What made a person of those that were there before: event when he is made of one of them, whole."""
    found = list(origins)
    if any(parts[origin] > 1 for origin in found):
        return SPLIT
    return MERGE if len(found) > 1 else EVENT
