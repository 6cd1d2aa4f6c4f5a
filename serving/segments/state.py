"""The follower's own state in LMDB: memberships and timers of persons, the position they stand at, changes not yet delivered. One process writes it.

Databases: ``persons`` id → Record, ``timers`` due instant and person id (sorted by time), ``outbox`` batch number → changes, ``position``. A transaction holds
whole steps: what a person is in, when to look again, and what has to be told of it can never disagree. All of it can be made again from
``serving/segment_changes`` and the store (recovery.py).
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb
import msgspec

from millrace.errors import CoverageError

FORMAT = 1
_BYTES = 8
_DATABASES = ("persons", "timers", "outbox")


class Record(msgspec.Struct, array_like=True):
    """What is held of a person: a node that leads to him, the instant he was last looked at, the rules that was done under, when to look again,
    and since when he is in which segment."""

    node: str
    at: int
    rules: str
    due: int | None
    since: dict[str, int]


class Row(msgspec.Struct, array_like=True, frozen=True):
    """A change, as serving/segment_changes has it; times in microseconds."""

    change_id: str
    segment: str
    person_id: str
    change: str
    at: int
    seen_at: int
    because: str
    head: int
    manifest_id: int | None
    decisions: int
    definitions_hash: str


class Position(msgspec.Struct):
    """Where the memberships stand. ``batch``: the last batch of changes; ``published``: the last one Kafka has acknowledged. ``rules``, ``prints``: what they were worked
    out under. ``manifest_id``: the batch version; ``settled``: the last one everybody was looked at under (-1: never). ``made_again``: the instant
    as of which everybody has to be looked at before anything else, because timers were lost; 0 for no such thing."""

    format: int = FORMAT
    head: int = 0
    decisions: int = 0
    manifest_id: int | None = None
    settled: int = -1
    made_again: int = 0
    batch: int = 0
    published: int = 0
    rules: str = ""
    prints: dict[str, str] = {}
    pending: list[str] = []
    """Segments whose rule is new, another or gone, while not everybody has been looked at since."""


_record, _rows, _position = msgspec.msgpack.Decoder(Record), msgspec.msgpack.Decoder(list[Row]), msgspec.msgpack.Decoder(Position)
_encode = msgspec.msgpack.Encoder().encode


class State:
    """An open environment. All writes happen between ``begin`` and ``commit``, which makes them durable at once; a process that dies between leaves nothing of them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._environment = lmdb.open(str(folder), map_size=1 << 38, max_dbs=len(_DATABASES), lock=False)
        self._persons, self._timers, self._outbox = (self._environment.open_db(name.encode()) for name in _DATABASES)
        self._writing: Any = None
        self._is_changed, self._kept = False, b""
        self.begin()
        found = self._writing.get(b"position")
        self.is_new = found is None
        try:
            self.position = Position() if found is None else _position.decode(found)
        except msgspec.DecodeError as error:
            raise CoverageError(f"{folder} cannot be read ({error}); remove it, it is made again from the tables") from None

    def close(self) -> None:
        """What has not been committed is forgotten."""
        self._writing.abort()
        self._environment.close()

    def begin(self) -> None:
        self._writing = self._environment.begin(write=True)

    def commit(self) -> None:
        """Makes everything since the last commit durable and begins anew; does nothing when nothing has changed."""
        position = _encode(self.position)
        if not self._is_changed and position == self._kept:
            return
        self._writing.put(b"position", position)
        self._writing.commit()
        self._is_changed, self._kept = False, position
        self.begin()

    def get(self, person_id: str) -> Record | None:
        found = self._writing.get(person_id.encode(), db=self._persons)
        return None if found is None else _record.decode(found)

    def put(self, person_id: str, record: Record, before: Record | None) -> None:
        """Keeps a record and its timer; one that says nothing (no segment, no timer) is dropped. ``before``: what ``get`` returned."""
        key = person_id.encode()
        self._is_changed = True
        if before is not None and before.due is not None and before.due != record.due:
            self._writing.delete(_timer(before.due, key), db=self._timers)
        if record.due is not None and (before is None or before.due != record.due):
            self._writing.put(_timer(record.due, key), b"", db=self._timers)
        if record.since or record.due is not None:
            self._writing.put(key, _encode(record), db=self._persons)
        elif before is not None:
            self._writing.delete(key, db=self._persons)

    def drop(self, person_id: str, before: Record) -> None:
        self.put(person_id, Record(before.node, before.at, before.rules, None, {}), before)

    def due(self, until: int, limit: int) -> list[str]:
        """Persons whose timers are due, earliest first."""
        found: list[str] = []
        for key, _ in self._writing.cursor(db=self._timers).iternext():
            if int.from_bytes(key[:_BYTES], "big") > until or len(found) == limit:
                break
            found.append(key[_BYTES:].decode())
        return found

    def next_due(self) -> int | None:
        cursor = self._writing.cursor(db=self._timers)
        return int.from_bytes(cursor.key()[:_BYTES], "big") if cursor.first() else None

    def records(self, after: str, limit: int) -> list[tuple[str, Record]]:
        """Records of persons whose id comes after ``after``, in order of the id."""
        cursor = self._writing.cursor(db=self._persons)
        found = cursor.set_range(after.encode() + b"\0") if after else cursor.first()
        pairs: list[tuple[str, Record]] = []
        for key, value in cursor.iternext() if found else ():
            pairs.append((key.decode(), _record.decode(value)))
            if len(pairs) == limit:
                break
        return pairs

    def tell(self, rows: list[Row]) -> None:
        """Puts a batch of changes into the outbox."""
        self.position.batch += 1
        self._writing.put(self.position.batch.to_bytes(_BYTES, "big"), _encode(rows), db=self._outbox)

    def undelivered(self) -> Iterator[tuple[int, list[Row]]]:
        """Batches in the outbox, oldest first."""
        for key, rows in list(self._writing.cursor(db=self._outbox).iternext()):
            yield int.from_bytes(key, "big"), _rows.decode(rows)

    def delivered(self, batch: int) -> None:
        self._writing.delete(batch.to_bytes(_BYTES, "big"), db=self._outbox)
        self.position.published = batch


def fresh_state(folder: Path) -> State:
    """An empty state in place of what is there."""
    gone = folder.with_name(f".gone-{os.getpid()}")
    if folder.exists():
        folder.replace(gone)
        shutil.rmtree(gone, ignore_errors=True)
    return State(folder)


def _timer(due: int, key: bytes) -> bytes:
    return due.to_bytes(_BYTES, "big") + key
