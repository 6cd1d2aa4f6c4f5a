"""Everybody is looked at again, some at a time beside the epochs: after a publish, and when rules change. following.py calls it.

At a publish that must change nothing: what is held has been kept up event by event and instant by instant, what is found comes from the new base. The
differences of each segment are a row of ``serving/segment_settlements``; all zero where operations are exact.
"""

import logging
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import islice

import pyarrow as pa

from millrace.delta import TenantTables
from millrace.finish import MICROS
from millrace.tables import SEGMENT_SETTLEMENTS
from serving.segments.movement import ENTERED, LEFT, PUBLISH, Movements
from serving.segments.state import State
from serving.store.generation import Generation

log = logging.getLogger(__name__)
APP_ID = "segment_settlements"


class Settling:
    """One round through everybody. ``is_proof``: it stands for a publish, and what it finds is written down. ``as_of``: the instant everybody is looked at as of,
    while nothing else happens; None for now, beside everything else."""

    def __init__(
        self, state: State, movements: Movements, generation: Generation, *, names: tuple[str, ...], is_proof: bool, as_of: int | None = None
    ) -> None:
        self.as_of, self.is_proof = as_of, is_proof
        self._state, self._movements, self._generation, self._names = state, movements, generation, names
        self._people = generation.people()
        self._swept: str | None = ""
        self._persons = 0
        self._members: Counter[str] = Counter()

    def some(self, limit: int, now: int) -> bool:
        """Looks at the next persons, then at records that belong to nobody; False when all are done."""
        now = now if self.as_of is None else self.as_of
        people = list(islice(self._people, limit))
        for person in people:
            if (pinned := self._generation.pin(person.members[0].node)) is not None:
                self._members.update(self._movements.look(pinned, now, PUBLISH).names)
                self._persons += 1
        if people:
            return True
        if self._swept is None:
            return False
        records = self._state.records(self._swept, limit)
        for person_id, record in records:
            person = self._generation.person(record.node) if record.node else None
            if person is None or person.id != person_id:
                self._movements.leave(person_id, now, PUBLISH)
        self._swept = records[-1][0] if records else None
        return True

    def finish(self, tables: TenantTables, clock: Callable[[], int]) -> None:
        """Everybody has been looked at: writes the figures of a publish, once, and notes in the position that it is done."""
        position, manifest_id = self._state.position, self._generation.manifest_id
        found = self._movements.found
        wrong = sum(found.values())
        if self.is_proof and manifest_id is not None:
            tables.create(SEGMENT_SETTLEMENTS)
            settled_at = datetime.fromtimestamp(clock() / MICROS, UTC)
            rows = [
                {
                    "manifest_id": manifest_id, "segment": name, "head": self._generation.head, "persons": self._persons, "members": self._members[name],
                    "missing": found[name, ENTERED], "extra": found[name, LEFT], "settled_at": settled_at, "definitions_hash": self._generation.definitions.hash,
                }
                for name in self._names
            ]  # fmt: skip
            tables.append(SEGMENT_SETTLEMENTS, pa.Table.from_pylist(rows, schema=SEGMENT_SETTLEMENTS.schema), app_id=APP_ID, epoch=manifest_id)
        position.settled, position.pending, position.made_again = manifest_id or 0, [], 0
        (log.error if self.is_proof and wrong else log.info)("settled manifest=%s persons=%d differences=%d", manifest_id, self._persons, wrong)
