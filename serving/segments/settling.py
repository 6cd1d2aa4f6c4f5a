"""Persons are looked at again, some at a time beside the epochs: after a publish, and when rules change. following.py calls it, affected.py says whom.

At a publish that must change nothing: what is held has been kept up event by event and instant by instant, what is found comes from the new base. The
differences of each segment are a row of ``serving/segment_settlements``; all zero where operations are exact.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable

import pyarrow as pa

from millrace.tables.catalogue import SEGMENT_SETTLEMENTS
from millrace.tables.delta import TenantTables
from millrace.times import instant_of
from serving.segments.affected import Affected, Everybody, Part
from serving.segments.movement import ENTERED, LEFT, PUBLISH, Movements
from serving.segments.state import State
from serving.store.generation import Generation

log = logging.getLogger(__name__)
APP_ID = "segment_settlements"


class Settling:
    """One round through everybody, or through those whom a publish can have moved since ``old``, the generation everybody was settled under, which it closes at its
    end. ``is_proof``: it stands for a publish, and what it finds is written down. ``as_of``: the instant everybody is looked at as of, while nothing else happens;
    None for now, beside everything else."""

    def __init__(
        self, state: State, movements: Movements, generation: Generation, *, names: tuple[str, ...], is_proof: bool, as_of: int | None = None, old: Generation | None = None
    ) -> None:
        self.as_of, self.is_proof, self._old = as_of, is_proof, old
        self._state, self._movements, self._generation, self._names = state, movements, generation, names
        self._people = Everybody(generation, state) if old is None else Affected(old, generation, state)
        self._parts = self._people.parts()
        self._persons = 0
        self._members: Counter[str] = Counter()

    def some(self, now: int, until: float) -> bool:
        """Looks at the next persons, and at records that may belong to nobody, until a moment of the monotonic clock; False when all are done."""
        now = now if self.as_of is None else self.as_of
        for part in self._parts:
            self._look(part, now)
            if time.monotonic() >= until:
                return True
        return False

    def _look(self, part: Part, now: int) -> None:
        for node in part.nodes:
            if (pinned := self._generation.pin(node)) is not None:
                self._members.update(self._movements.look(pinned, now, PUBLISH).names)
                self._persons += 1
        for person_id in part.records:
            record = self._state.get(person_id)
            person = self._generation.person(record.node) if record and record.node else None
            if record is not None and (person is None or person.id != person_id):
                self._movements.leave(person_id, now, PUBLISH)

    def close(self) -> None:
        """Lets go of the generation before."""
        if self._old is not None:
            self._old.close()
            self._old = None

    def finish(self, tables: TenantTables, clock: Callable[[], int]) -> None:
        """Everybody has been looked at: writes the figures of a publish, once, and notes in the position that it is done."""
        position, manifest_id = self._state.position, self._generation.manifest_id
        found = self._movements.found
        wrong, unchanged = sum(found.values()), self._people.unchanged
        if self.is_proof and manifest_id is not None:
            tables.create(SEGMENT_SETTLEMENTS)
            settled_at = instant_of(clock())
            rows = [
                {
                    "manifest_id": manifest_id, "segment": name, "head": self._generation.head, "persons": self._persons, "unchanged": unchanged,
                    "members": self._members[name], "missing": found[name, ENTERED], "extra": found[name, LEFT], "settled_at": settled_at, "definitions_hash": self._generation.definitions.hash,
                }
                for name in self._names
            ]  # fmt: skip
            tables.append(SEGMENT_SETTLEMENTS, pa.Table.from_pylist(rows, schema=SEGMENT_SETTLEMENTS.schema), app_id=APP_ID, epoch=manifest_id)
        position.settled, position.pending, position.made_again = manifest_id or 0, [], 0
        (log.error if self.is_proof and wrong else log.info)("settled manifest=%s persons=%d unchanged=%d differences=%d", manifest_id, self._persons, unchanged, wrong)
