"""One batch version with the epochs after its cut on top: what is served. store.py advances it and switches from one to the next.

Generations share nothing: the next one reads the speed tables itself, from its own cut, so that publish, rollback and restart are the same thing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from millrace.definitions import Definitions
from millrace.identity.decisions import UNDECIDED, Decisions, read_decisions
from millrace.tables.catalogue import SPEED_EDGES_TABLE, speed_view
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import NOTHING
from millrace.tables.manifest import Manifest
from millrace.traits.views import View
from serving.store.answers import Pinned, Point
from serving.store.base_building import PERSON
from serving.store.base_folders import HeldBase
from serving.store.batch_base import BaseReader, NoReader
from serving.store.coverage import check_counts, check_edges
from serving.store.keyed import Fresh, KeyedViews, PinnedKey
from serving.store.layout import Layout, Slots, encode
from serving.store.layout import decode as decode_slots
from serving.store.ledger_tail import LedgerTail
from serving.store.persons import Persons
from serving.store.plan import Plan
from serving.store.regrouping import Change, Person
from serving.store.tail import EpochTail

STEP_EPOCHS = 200
"""Epochs that are taken in at once when there are many."""


@dataclass
class Step:
    """What the epochs up to ``head`` add, ready to be applied."""

    head: int
    slots: dict[str, bytes] = field(default_factory=dict)
    persons: Change | None = None
    keyed: Fresh = field(default_factory=dict)

    @property
    def touched(self) -> set[str]:
        """Nodes with increments or edges in the step, and those it puts elsewhere."""
        return {*self.slots, *(self.persons.touched if self.persons else ())}


@dataclass(frozen=True)
class Reach:
    """How far a generation may go: the last epoch it can prove, and why not further."""

    head: int
    problem: str | None


class Generation:
    """``head`` is the last epoch that answers hold. ``prepare`` belongs to one thread; ``apply`` and ``pin`` need the store's lock.

    ``newest`` are the definitions of the directory: what is served before the first publish, and the only ones besides the manifest's that are known.
    """

    def __init__(self, tables: TenantTables, manifest: Manifest | None, newest: Definitions, held: HeldBase | None, *, secret: bytes) -> None:
        definitions = manifest.definitions if manifest else newest
        self.definitions, self._held, self._tables = definitions, held, tables
        self.keyed = KeyedViews(tables, definitions)
        self._known = {definitions.hash}
        self.know(newest)
        self.manifest_id = manifest.manifest_id if manifest else None
        self.cut = self.head = manifest.cut if manifest else NOTHING
        view = definitions.views[PERSON]
        self.layout = Layout(view)
        self._plan = Plan(view, self.layout)
        self._reader, self._writer_reader = (held.base.reader(), held.base.reader()) if held else (NoReader(), NoReader())
        published = read_decisions(tables, upto=manifest.decisions) if manifest else UNDECIDED
        self._persons = Persons(definitions.identity.compiled(secret), published)
        self._slots: dict[str, bytes] = {}
        self.start_over()
        self.note(committed_at=0, complete=True)

    def know(self, newest: Definitions) -> None:
        """Epochs under these definitions may be taken in, when they hold all that is served."""
        if newest.hash not in self._known and covers(newest, self.definitions):
            self._known.add(newest.hash)
            self.keyed.drop(name for name, view in self.definitions.views.items() if name not in newest.views or not holds(newest.views[name], view))

    @property
    def keys_after_cut(self) -> int:
        """Nodes that the epochs after the cut touch."""
        return len(self._slots)

    @property
    def base(self) -> BaseReader:
        """The batch version alone; for the thread that pins."""
        return self._reader

    @property
    def overlaid(self) -> set[str]:
        """Nodes of which answers rest on more than the batch version: on epochs after its cut, or on decisions."""
        return {*self._slots, *self._persons.overlaid(self._reader)}

    @property
    def point(self) -> Point:
        """What answers stand on now."""
        return self._point

    @property
    def decisions(self) -> int:
        """The last decision about persons that answers follow."""
        return self._persons.decisions.number

    def start_over(self) -> None:
        """Looks at the speed tables afresh, from the head on."""
        self._states = EpochTail(self._tables, speed_view(PERSON, self.definitions.views[PERSON]), after=self.head)
        self._edges = EpochTail(self._tables, SPEED_EDGES_TABLE, after=self.head)
        self.keyed.start_over(self.head)

    def reach(self, ledger: LedgerTail) -> Reach:
        """Up to the ledger's head, but not into epochs under definitions that may lack one of the states served."""
        other = ledger.first_other(self.cut, self._known)
        if other is None:
            return Reach(ledger.head, ledger.problem)
        served = "the definitions directory" if self.manifest_id is None else f"manifest {self.manifest_id}"
        return Reach(other - 1, f"epoch {other} was written under other definitions than {served}; build a batch version, it brings them together")

    def prepare(self, ledger: LedgerTail, upto: int) -> Step:
        """Reads the next epochs, at most ``STEP_EPOCHS``. The ledger must have them. CoverageError when the speed tables do not hold what it says."""
        head = min(upto, self.head + STEP_EPOCHS)
        self._states.refresh()
        self._edges.refresh()
        edges, states, accepted = self._edges.rows(head), self._states.rows(head), ledger.accepted(self.head, head)
        check_edges(edges, accepted, after=self.head)
        check_counts(states, accepted, after=self.head, layout=self.layout)
        keyed = self.keyed.prepare(accepted, after=self.head, upto=head)
        step = Step(head, persons=self._persons.prepare(edges, self._writer_reader), keyed=keyed)
        for key, slots in self.layout.fold(states).items():
            step.slots[key] = self._on_top(key, slots)
        return step

    def apply(self, step: Step, *, committed_at: int) -> None:
        """Makes a step visible, all at once."""
        self._slots.update(step.slots)
        self.keyed.apply(step.keyed)
        if step.persons is not None:
            self._persons.apply(step.persons)
        self.head = step.head
        self.note(committed_at=committed_at, complete=self._point.complete)

    def decide(self, decisions: Decisions) -> Change | None:
        """The change that decisions taken since bring; None when they are taken in already. ``take`` makes it visible, under the lock."""
        return None if decisions == self._persons.decisions else self._persons.redecide(decisions, self._writer_reader)

    def take(self, change: Change) -> None:
        self._persons.apply(change)
        self.note(committed_at=self._point.committed_at, complete=self._point.complete)

    def note(self, *, committed_at: int, complete: bool) -> None:
        """What answers say of the head from now on; ``complete`` is False when something keeps them from the newest epochs."""
        self._point = Point(self.manifest_id, self.cut, self.head, self.definitions.hash, complete, committed_at, self._persons.decisions.number)

    def applied(self) -> None:
        """The tails may forget what has been applied; not under the lock."""
        self._states.taken(self.head)
        self._edges.taken(self.head)
        self.keyed.taken(self.head)

    def pin(self, node: str) -> Pinned | None:
        """All parts of the answer about a node at this moment; None when nobody has seen it."""
        person = self._persons.find(node, self._reader)
        if person is None:
            return None
        batch = [slots for unit, members in person.of_batch if (slots := self._reader.slots(unit, members)) is not None]
        if self.definitions.terms:  # states of nodes that only events of such sources had shown at the cut
            known = {member.node for _, members in person.of_batch for member in members}
            batch += [slots for member in person.members if member.node not in known and (slots := self._reader.states(member.node)) is not None]
        speed = [slots for member in person.members if (slots := self._slots.get(member.node)) is not None]
        return Pinned(node, self._point, self._plan, person, batch, speed)

    def pin_key(self, view: str, key: str) -> PinnedKey | None:
        """All parts of the answer about a key of another view; None when there is no such view, or no event had the key."""
        found = self.keyed.get(view)
        return None if found is None else found.pin(key, self._reader, self._point)

    def keys(self, view: str, *, after: str, limit: int) -> list[str]:
        """The next keys of such a view in order."""
        found = self.keyed.get(view)
        return [] if found is None else found.keys(self._reader, after=after, limit=limit)

    def person(self, node: str) -> Person | None:
        """Who a node belongs to at this moment; None when nobody has seen it."""
        return self._persons.find(node, self._reader)

    def people(self) -> Iterator[Person]:
        """Everybody, each once, as he is when his turn comes. Who is first seen, joined or parted while somebody goes through them may be left out or come again."""
        for node in self._reader.first_members():
            if (person := self.person(node)) and person.members[0].node == node:
                yield person
        for node in list(self._persons.nodes):
            if (person := self.person(node)) and person.members[0].node == node and not self._reader.is_first_member(node):
                yield person

    def anchor(self, person: str) -> tuple[str | None, bool]:
        """The node that gives a person this id, whoever holds it now; None for an id that no node gives. The flag: not certain yet, ask again."""
        known = self._reader.anchor(person) or self._persons.anchors.get(person)
        more = known is None and self._persons.name_some()
        return known or self._persons.anchors.get(person), more

    def close(self) -> None:
        if self._held:
            self._held.close()

    def _on_top(self, key: str, slots: Slots) -> bytes:
        before = self._slots.get(key)
        return encode(slots if before is None else self.layout.merge(decode_slots(before), slots))


def covers(newer: Definitions, older: Definitions) -> bool:
    """Whether increments under ``newer`` hold every state and hop that profiles under ``older`` need, for the same nodes and
    with the same edges."""
    if newer.identity.normaliser != older.identity.normaliser or newer.terms.keys() != older.terms.keys():
        return False
    return holds(newer.views[PERSON], older.views[PERSON])


def holds(newer: View, older: View) -> bool:
    """Whether increments of a view hold every state and hop of an older one, by the same keys."""
    return newer.keyed == older.keyed and all(hops <= newer.states.get(state, frozenset()) for state, hops in older.states.items())
