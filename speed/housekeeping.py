"""Keeps the speed tables small and their marks current: the owner process trims epochs no kept batch version needs and folds small files together, between epochs."""

import logging
import math
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from deltalake import DeltaTable

from millrace.definitions import Definitions
from millrace.expiry_of_speed import expire_speed
from millrace.settings import DEFAULTS
from millrace.tables.catalogue import EVENTS, LEDGER, REJECTED, REPLAYS, SPEED_EDGES_TABLE, speed_view
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import NOTHING
from millrace.tables.manifest import oldest_kept_cut, read_manifests

log = logging.getLogger(__name__)
EXPIRE_EVERY_S = 86_400.0
"""How often what has a term over is emptied from the disk; answers leave it out from the hour on."""


@dataclass
class Housekeeper:
    """Every ``every`` epochs: trims speed epochs ≤ the oldest kept cut, compacts tables with more than ``max_files`` files, drops unread files."""

    tables: TenantTables
    definitions: Definitions
    keep_versions: int = DEFAULTS.batch.keep_versions
    every: int = DEFAULTS.stream.compact_every_epochs
    max_files: int = DEFAULTS.stream.compact_above_files
    keep_files_s: float = DEFAULTS.stream.keep_files
    expire_every_s: float = EXPIRE_EVERY_S
    trimmed_to: int = field(default=NOTHING, init=False)
    _expired: float = field(default=-math.inf, init=False)
    _marked: int = field(default=-1, init=False)

    def after_epoch(self, epoch: int) -> None:
        if epoch % self.every == 0:
            self.run()

    def mark_replayed(self) -> None:
        """Copies what log/replays says into ``replayed_at`` of log/rejected, whose only writer is this process."""
        replays = self.tables.open(REPLAYS)
        if replays is None or replays.version() == self._marked:
            return
        marks = self.tables.read(REPLAYS, columns=["topic", "partition", "offset", "replayed_at"])
        marks = marks.group_by(["topic", "partition", "offset"]).aggregate([("replayed_at", "min")]).rename_columns({"replayed_at_min": "replayed_at"})
        DeltaTable(self.tables.path(REJECTED)).merge(
            marks, source_alias="s", target_alias="t",
            predicate='t.topic = s.topic AND t."partition" = s."partition" AND t."offset" = s."offset" AND t.replayed_at IS NULL',
        ).when_matched_update({"replayed_at": "s.replayed_at"}).execute()  # fmt: skip
        self._marked = replays.version()

    @property
    def is_expiry_due(self) -> bool:
        return bool(self.definitions.terms) and time.monotonic() - self._expired > self.expire_every_s

    def expire_if_due(self) -> None:
        """Once a day, and at the start: empties the log and the speed tables of what has a term over, and drops the files that still hold it."""
        if not self.is_expiry_due:
            return
        expire_speed(self.tables, self.definitions, now=datetime.now(UTC), run_id="stream", keep_files_s=self.keep_files_s)
        self._expired = time.monotonic()

    def run(self) -> None:
        """One round; safe at any time between epochs, because it is the only writer of these tables."""
        started = time.monotonic()
        self.mark_replayed()
        views = [speed_view(name, view) for name, view in self.definitions.views.items()]
        cut = oldest_kept_cut(read_manifests(self.tables), self.keep_versions)
        if cut > self.trimmed_to:
            for table in (*views, SPEED_EDGES_TABLE):
                DeltaTable(self.tables.path(table)).delete(f"epoch <= {cut}")
            self.trimmed_to = cut
        for table in (EVENTS, REJECTED, LEDGER, *views, SPEED_EDGES_TABLE):
            found = DeltaTable(self.tables.path(table))
            if len(found.file_uris()) > self.max_files:
                found.optimize.compact()
                found.vacuum(retention_hours=math.ceil(self.keep_files_s / 3600), dry_run=False, enforce_retention_duration=False)
        self.expire_if_due()
        log.info("housekeeping done trimmed_to=%d seconds=%.2f", self.trimmed_to, time.monotonic() - started)
