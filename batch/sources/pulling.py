"""Pulls one source: batches of its connector, shaped, delivered, and only then noted. jobs/pull_sources.py calls it under the lease of the pulls.

A run that dies in between reads the part again from its noted position: messages keep their ids, versions of entities are a set, so each row counts once.
"""

import importlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from batch.sources.connector import Batch, Connector
from batch.sources.database import Table
from batch.sources.debezium import ChangeRecords
from batch.sources.entities import Delivered, EntityTarget
from batch.sources.files import Files
from batch.sources.http import Pages
from batch.sources.messages import EventTarget
from batch.sources.positions import Positions
from batch.sources.rejects import Rejects
from batch.sources.shaping import Drift, Refused, Row, Shaper, shown
from millrace.errors import ConfigurationError
from millrace.events.pulls import AnyPull, DebeziumPull, FilesPull, HttpPull, JdbcPull, OwnPull
from millrace.faults import crash_point
from millrace.sending import EventSender
from millrace.tables.delta import TenantTables

log = logging.getLogger(__name__)
SAMPLES = 3
"""Most rows that a dry run shows."""


@dataclass
class Report:
    """What a run did, or would do, with one source: received = taken + rejected + unchanged. ``waiting``: files that are too young to be read; ``deletes``: keys
    that a snapshot no longer had; ``deletes_withheld``: those of a snapshot that lacks too many, or of which rows could not be read."""

    source: str
    kind: str
    parts: int = 0
    received: int = 0
    taken: int = 0
    unchanged: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    deletes: int = 0
    deletes_withheld: int = 0
    waiting: int = 0
    drift: Drift = field(default_factory=Drift)
    samples: list[dict[str, Any]] = field(default_factory=list)

    def counts(self) -> dict[str, Any]:
        """As a line of JSON shows it."""
        found: dict[str, Any] = {"source": self.source, "kind": self.kind, "parts": self.parts, "received": self.received, "taken": self.taken}
        found |= {"rejected": self.rejected.total(), "unchanged": self.unchanged}
        more = {"reasons": dict(self.rejected), "deletes": self.deletes, "deletes_withheld": self.deletes_withheld, "waiting": self.waiting, "drift": self.drift.shown()}
        return found | {name: value for name, value in more.items() if value} | ({"samples": self.samples} if self.samples else {})


class Pulling:
    """A run over one source. ``kafka``: where messages go. ``is_dry``: nothing is sent, written or noted."""

    def __init__(self, tables: TenantTables, source: str, pull: AnyPull, *, kafka: str, run_id: str, is_dry: bool = False) -> None:
        self._tables, self._pull, self._is_dry, self._kafka, self._run_id = tables, pull, is_dry, kafka, run_id
        self.report = Report(source, pull.kind)
        self._positions = Positions(tables, source, run_id)
        self._shaper = Shaper(pull, self._positions.columns)
        self.report.drift = self._shaper.drift
        self._rejects = Rejects(tables, source, run_id)
        self._part: str | None = None
        self._known: set[bytes] = set()
        self._has_refused = False
        self._target: EventTarget | EntityTarget

    def run(self) -> Report:
        """The figures, which ``report`` has too when this raises: what was noted until then stays. Errors: SourceUnavailable, BrokerUnavailable, ConfigurationError."""
        connector = connector_of(self._pull)
        with ExitStack() as stack:
            if self._pull.entity:
                self._target = EntityTarget(self._tables, self.report.source, self._pull, self._run_id, is_dry=self._is_dry)
            else:
                sender = None if self._is_dry else stack.enter_context(EventSender(self._kafka, self._tables.tenant))
                self._target = EventTarget(self.report.source, self._pull, sender)
            for batch in connector.batches(dict(self._positions.noted)):
                self._take(batch)
            if isinstance(self._target, EntityTarget):
                self._target.tidy()
        self.report.waiting = getattr(connector, "waiting", 0)
        return self.report

    def _take(self, batch: Batch) -> None:
        if batch.part != self._part:
            self._begin(batch.part)
        as_of = batch.as_of if self._positions.as_of is None else max(batch.as_of, self._positions.as_of)
        rows, refused = self._shaper.shape(batch)
        if not self._is_dry:
            crash_point("pull.shaped")
        delivered = self._delivered(batch, rows, as_of)
        refused += delivered.refused
        self._count(rows, refused, delivered)
        if not self._is_dry:
            self._rejects.add(refused, as_of)
            crash_point("pull.delivered")
        if batch.position is not None:
            self._end(batch, as_of)

    def _begin(self, part: str) -> None:
        self._part, self._has_refused = part, False
        self._target.begin(part)
        self._rejects.begin(part)
        self._known = self._positions.digests(part) if isinstance(self._target, EventTarget) else set()

    def _delivered(self, batch: Batch, rows: list[Row], as_of: datetime) -> Delivered:
        if isinstance(self._target, EntityTarget):
            return self._target.deliver(batch, rows, as_of)
        return self._target.deliver(batch, rows, as_of, self._known)

    def _count(self, rows: list[Row], refused: list[Refused], delivered: Delivered) -> None:
        report = self.report
        report.taken += delivered.taken
        report.unchanged += delivered.unchanged
        report.rejected.update(one.reason for one in refused)
        report.received += delivered.taken + delivered.unchanged + len(refused)
        self._has_refused |= bool(refused)
        if self._is_dry:
            report.samples += [shown(row) for row in rows[: SAMPLES - len(report.samples)]]

    def _end(self, batch: Batch, as_of: datetime) -> None:
        """The batch is the last that leads to its position."""
        report, target = self.report, self._target
        if isinstance(target, EntityTarget) and self._pull.snapshot and batch.is_whole:
            self._delete_missing(target, as_of)
        report.parts += 1
        if self._is_dry:
            return
        digests = target.noted(is_whole=batch.is_whole) if isinstance(target, EventTarget) else []
        self._positions.note(batch.part, batch.position or {}, as_of=as_of, digests=digests, counts=report.counts())
        crash_point("pull.noted")
        log.info("noted source=%s parts=%d received=%d", report.source, report.parts, report.received)

    def _delete_missing(self, target: EntityTarget, as_of: datetime) -> None:
        missing, held = target.missing()
        if not missing:
            return
        if self._has_refused or len(missing) > self._pull.delete_at_most * held:
            self.report.deletes_withheld += len(missing)
            return
        self.report.deletes += len(missing)
        target.delete(missing, as_of)


def connector_of(pull: AnyPull) -> Connector:
    """What reads the source. ConfigurationError for a connector of somebody's own that cannot be found."""
    if isinstance(pull, OwnPull):
        return _own(pull)
    return _CONNECTORS[type(pull)](pull)


_CONNECTORS: Mapping[type, Callable[[Any], Connector]] = {FilesPull: Files, JdbcPull: Table, HttpPull: Pages, DebeziumPull: ChangeRecords}


def _own(pull: OwnPull) -> Connector:
    module, _, name = pull.connector.partition(":")
    try:
        return getattr(importlib.import_module(module), name)(**pull.options)  # type: ignore[no-any-return]
    except (ImportError, AttributeError, TypeError) as error:
        raise ConfigurationError(f"connector {pull.connector}: {error}; a class on the Python path is needed that takes the `options` by name (docs/sources.md)") from None
