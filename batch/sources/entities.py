"""Target of a pull: versions of entities in ``entities/<name>``. A commit per batch, of the versions that changed; what is known changes nothing."""

import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from batch.sources.connector import Batch, SourceUnavailable
from batch.sources.history import Statement, Version, change_id, merged, versions
from batch.sources.shaping import Refused, Row
from batch.sources.values import micros_of, plain, to_boolean, to_json
from millrace.events.pulls import Pull
from millrace.events.webhooks import WrongValue, mapped
from millrace.tables.catalogue import entity_table
from millrace.tables.delta import TenantTables, conform
from millrace.times import instant_of, micros

log = logging.getLogger(__name__)
KEEP_HOURS = 168
"""How long files of old versions stay for whoever reads them."""


class Delivered(NamedTuple):
    """Rows that changed something, rows that did not, and rows that could not be used."""

    taken: int
    unchanged: int
    refused: list[Refused]


class EntityTarget:
    """One source's statements about one entity. ``is_dry``: what would be is worked out, nothing is written."""

    def __init__(self, tables: TenantTables, source: str, pull: Pull, run_id: str, *, is_dry: bool) -> None:
        self._tables, self._source, self._pull, self._run_id, self._is_dry = tables, source, pull, run_id, is_dry
        self._table, self._zone = entity_table(pull.entity or ""), ZoneInfo(pull.zone)
        self._would: dict[str, Statement] = {}
        self.keys: set[str] = set()
        self._is_rewritten = False

    def begin(self, part: str) -> None:
        """A part is read from its beginning: which keys it has is found out anew."""
        self.keys = set()

    def deliver(self, batch: Batch, rows: list[Row], as_of: datetime) -> Delivered:
        """Every statement that is new is in the table when this returns."""
        said: list[Statement] = []
        refused: list[Refused] = []
        for row in rows:
            found = self._statement(batch, row, as_of)
            if isinstance(found, Statement):
                said.append(found)
                self.keys.add(found.key)
            else:
                refused.append(Refused(row.place, *found, to_json(row.values).decode()))
        known = self._known({one.key for one in said})
        repeated = 0
        if not (self._pull.changed_at or batch.changed_at):
            said, repeated = _observed(said, known)
        elif self._pull.snapshot:
            said = [self._back(one, as_of) for one in _reappeared(said, known)]
        if batch.deleted:
            said, repeated = _without_repeated_deletes(said, known)
        ids = {one.change_id for one in known} | self._would.keys()
        new = len({one.change_id for one in said} - ids)
        self._write(known, said)
        return Delivered(new, len(said) - new + repeated, refused)

    def missing(self) -> tuple[list[str], int]:
        """Keys that hold now and that the part, read as a whole, did not have; and how many hold now."""
        where = (pc.field("source") == self._source) & pc.field("is_current") & ~pc.field("deleted")
        current = set(self._tables.read(self._table, columns=["key"], where=where)["key"].to_pylist())
        return sorted(current - self.keys), len(current)

    def delete(self, keys: list[str], as_of: datetime) -> None:
        """The keys are gone from ``as_of`` on."""
        at = micros(as_of)
        said = [Statement(change_id(self._source, key, at, None, deleted=True), key, at, at, 0, None, True, self._run_id) for key in keys]
        self._write(self._known(set(keys)), said)

    def _statement(self, batch: Batch, row: Row, as_of: datetime) -> Statement | tuple[str, str]:
        """What the row says; the reason and the column when it says nothing that can be used."""
        pull, values = self._pull, dict(row.values)
        if pull.attributes:
            is_gone = bool(batch.deleted) and batch.deleted[row.index]  # then there is but the key
            declared = {name: pull.attributes[name] for name in pull.key} if is_gone else pull.attributes
            try:
                values = plain(mapped(declared, row.values, is_exact=True), self._zone)
            except WrongValue as wrong:
                return "wrong_type", wrong.at.lstrip("/") or wrong.name
        parts = [values.get(name) for name in pull.key]
        if any(part is None or part == "" for part in parts):
            return "missing_key", next(name for name in pull.key if values.get(name) in (None, ""))
        key = parts[0] if len(parts) == 1 and isinstance(parts[0], str) else to_json(parts[0] if len(parts) == 1 else parts).decode()
        try:
            deleted = batch.deleted[row.index] if batch.deleted else to_boolean(values.pop(pull.deleted, False)) if pull.deleted else False
        except ValueError:
            return "wrong_type", pull.deleted or ""
        at = batch.changed_at[row.index] if batch.changed_at else micros(as_of)
        if pull.changed_at:
            if (text := values.pop(pull.changed_at, None)) is None:
                return "missing_changed_at", pull.changed_at
            try:
                at = micros_of(text, self._zone)
            except (TypeError, ValueError):
                return "wrong_type", pull.changed_at
        number = batch.numbers[row.index] if batch.numbers else None
        sequence = batch.sequence[row.index] if batch.sequence else micros(as_of)
        attributes = None if deleted else to_json(values).decode()
        name = change_id(self._source, key, at, attributes, deleted=deleted, number=number)
        return Statement(name, key, at, sequence, row.place, attributes, deleted, self._run_id)

    def _back(self, seen: tuple[Statement, bool], as_of: datetime) -> Statement:
        """A key that a snapshot did not have and the next has again holds from that one on, though its row says an earlier time."""
        one, is_back = seen
        if not is_back:
            return one
        at = micros(as_of)
        return one._replace(change_id=change_id(self._source, one.key, at, one.attributes, deleted=one.deleted), valid_from=at)

    def _known(self, keys: set[str]) -> list[Statement]:
        if not keys:
            return []
        where = (pc.field("source") == self._source) & pc.field("key").isin(sorted(keys))
        rows = self._tables.read(self._table, where=where).to_pylist()
        found = {row["change_id"]: _statement_of(row) for row in rows}
        return [*found.values(), *(one for one in self._would.values() if one.key in keys and one.change_id not in found)]

    def _write(self, known: list[Statement], said: list[Statement]) -> None:
        """One commit of the versions that are not in the table as they are now; none when all are."""
        if self._is_dry:
            self._would |= {one.change_id: one for one in said}
            return
        before = set(versions(known))
        changed = [one for one in versions(merged(known, said).values()) if one not in before]
        if not changed:
            return
        rows = conform(pa.Table.from_pylist([self._row(one) for one in changed]), self._table.schema)
        try:
            self._commit(rows, replaced={one.change_id for one in known})
        except DeltaError as error:
            raise SourceUnavailable(f"{self._table.name} could not be written ({type(error).__name__}); start the job again, nothing is taken twice") from error

    def _commit(self, rows: pa.Table, *, replaced: set[str]) -> None:
        """One commit. An append where no known version ends or moves, otherwise the table anew: delta-rs's own merge leaves files that Arrow cannot filter."""
        changed = sorted(replaced & set(rows["change_id"].to_pylist()))
        if not changed:
            self._tables.add(self._table, rows)
            return
        others = self._tables.read(self._table, where=~pc.field("change_id").isin(changed))
        self._tables.replace(self._table, pa.concat_tables([conform(others, self._table.schema), rows]))
        self._is_rewritten = True

    def tidy(self) -> None:
        """Drops files of old versions; a failure costs disk, not the pull."""
        if not self._is_rewritten:
            return
        try:
            self._tables.create(self._table).vacuum(retention_hours=KEEP_HOURS, dry_run=False, enforce_retention_duration=False)
        except DeltaError as error:
            log.warning("old versions stay table=%s error=%s", self._table.name, type(error).__name__)

    def _row(self, version: Version) -> dict[str, Any]:
        said = version.said
        return {
            "key": said.key, "attributes": said.attributes, "valid_from": instant_of(said.valid_from), "valid_to": None if version.valid_to is None else instant_of(version.valid_to),
            "is_current": version.valid_to is None, "deleted": said.deleted, "source": self._source, "run_id": said.run_id, "change_id": said.change_id,
            "sequence": said.sequence, "place": said.place,
        }  # fmt: skip


def _observed(said: list[Statement], known: list[Statement]) -> tuple[list[Statement], int]:
    """Of rows that do not say when they changed: those that differ from what holds, and how many do not."""
    holds = {one.said.key: one.said for one in versions(known) if one.valid_to is None}
    new: list[Statement] = []
    for one in said:
        last = holds.get(one.key)
        if last is None or (last.attributes, last.deleted) != (one.attributes, one.deleted):
            new.append(one)
            holds[one.key] = one
    return new, len(said) - len(new)


def _without_repeated_deletes(said: list[Statement], known: list[Statement]) -> tuple[list[Statement], int]:
    """A tombstone after a delete says nothing that was not said; what says it again is counted."""
    gone = {one.said.key: one.said for one in versions(known) if one.valid_to is None}
    new: list[Statement] = []
    for one in said:
        last = gone.get(one.key)
        if one.deleted and last is not None and last.deleted and last.order < one.order:
            continue
        new.append(one)
        if last is None or last.order < one.order:
            gone[one.key] = one
    return new, len(said) - len(new)


def _reappeared(said: list[Statement], known: list[Statement]) -> Iterator[tuple[Statement, bool]]:
    """Each with whether its key is gone now, since a later time than it says."""
    gone = {one.said.key: one.said.valid_from for one in versions(known) if one.valid_to is None and one.said.deleted}
    for one in said:
        yield one, not one.deleted and one.valid_from <= gone.get(one.key, -1)


def _statement_of(row: dict[str, Any]) -> Statement:
    return Statement(
        row["change_id"], row["key"], micros(row["valid_from"]), row["sequence"], row["place"], row["attributes"], row["deleted"], row["run_id"],
    )  # fmt: skip
