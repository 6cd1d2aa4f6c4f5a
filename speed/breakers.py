"""Breakers of sources: when too much of what a source sends is rejected, an alert is raised (ops/alerts), which pauses the source at the collector where it says so.

The stream tells it of every epoch once the ledger has it. Time is that of the records (Kafka's), so that a stream that catches up sees the windows that were. A
window is held in memory: after a restart it begins anew, and an alert can come later, never wrongly.
"""

import json
import logging
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from millrace.definitions import Definitions
from millrace.events.sources import Breaker
from millrace.tables.catalogue import OPS_ALERTS
from millrace.tables.delta import TenantTables

log = logging.getLogger(__name__)


@dataclass
class _Window:
    """What came of one source within the window of its breaker: (until, received, rejected by reason) of each epoch."""

    limits: Breaker
    epochs: deque[tuple[datetime, int, Counter[str]]] = field(default_factory=deque)
    quiet_until: datetime | None = None

    def take(self, at: datetime, received: int, reasons: Counter[str]) -> dict[str, Any] | None:
        """The figures of an alert when these records put the source over its limits. After one it is quiet: for the pause, or a window long."""
        if self.quiet_until is not None and at < self.quiet_until:
            return None
        self.epochs.append((at, received, reasons))
        while self.epochs[0][0] <= at - timedelta(seconds=self.limits.window):
            self.epochs.popleft()
        total, rejected = sum(count for _, count, _ in self.epochs), Counter[str]()
        for _, _, found in self.epochs:
            rejected.update(found)
        count = rejected.total()
        if count < self.limits.count or count < self.limits.share * total:
            return None
        since = self.epochs[0][0]
        self.epochs.clear()
        quiet = self.limits.pause if self.limits.action == "pause" else self.limits.window
        self.quiet_until = at + timedelta(seconds=quiet)
        return {"received": total, "rejected": count, "share": count / total, "since": since, "reasons": json.dumps(dict(rejected.most_common()))}


class Breakers:
    """All breakers of a tenant; without one declared nothing is counted."""

    def __init__(self, tables: TenantTables, definitions: Definitions) -> None:
        self._tables = tables
        self._windows = {name: _Window(source.breaker) for name, source in definitions.sources.items() if source.breaker is not None}

    def after_epoch(self, epoch: int, rows: pa.Table) -> None:
        """``rows``: standard events with source, received_at and reason."""
        if not self._windows or not len(rows):
            return
        at = pc.max(rows["received_at"]).as_py()
        counted = rows.group_by(["source", "reason"]).aggregate([([], "count_all")]).to_pylist()
        alerts = []
        for name, window in self._windows.items():
            found = {row["reason"]: row["count_all"] for row in counted if row["source"] == name}
            reasons = Counter({reason: count for reason, count in found.items() if reason is not None})
            if found and (figures := window.take(at, sum(found.values()), reasons)):
                alerts.append(_alert(name, window.limits, epoch, figures))
        if alerts:
            self._tables.add(OPS_ALERTS, pa.Table.from_pylist(alerts, schema=OPS_ALERTS.schema))


def _alert(source: str, limits: Breaker, epoch: int, figures: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC)
    until = now + timedelta(seconds=limits.pause) if limits.action == "pause" else None
    log.warning("breaker source=%s action=%s rejected=%d received=%d", source, limits.action, figures["rejected"], figures["received"])
    return {"raised_at": now, "source": source, "kind": "rejects", "action": limits.action, "until": until, "epoch": epoch} | figures
