"""Keeps a table of which every commit is a small file in few files, beside appends. The segments and data health tell it of each commit of theirs."""

import logging
import threading
import time

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from millrace.tables.catalogue import Table
from millrace.tables.delta import TenantTables

log = logging.getLogger(__name__)
KEEP_HOURS = 24


class Tidying:
    """Folds files together after ``every`` commits, in a thread of its own, one at a time."""

    def __init__(self, tables: TenantTables, table: Table, *, every: int) -> None:
        self._tables, self._table, self._every = tables, table, every
        self._commits = 0
        self._thread: threading.Thread | None = None

    def after(self, commits: int = 1) -> None:
        """After some commits."""
        self._commits += commits
        if self._commits >= self._every and not (self._thread and self._thread.is_alive()):
            self._commits = 0
            self._thread = threading.Thread(target=tidy, args=(self._tables, self._table), name=f"tidy-{self._table.name}", daemon=True)
            self._thread.start()


def tidy(tables: TenantTables, table: Table) -> None:
    """Folds small files together; those that were replaced stay for a day, for whoever has just opened the table."""
    started = time.monotonic()
    try:
        found = DeltaTable(tables.path(table))
        found.optimize.compact()
        found.vacuum(retention_hours=KEEP_HOURS, dry_run=False, enforce_retention_duration=False)
    except (DeltaError, OSError) as error:
        log.error("table not tidied table=%s error=%s", table.name, type(error).__name__)
    else:
        log.info("table tidied table=%s seconds=%.2f", table.name, time.monotonic() - started)
