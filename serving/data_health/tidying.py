"""Keeps the table of data health in few files: a window is a commit, and a commit a file. following.py tells it of each."""

import logging
import threading
import time

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from millrace.tables.catalogue import Table
from millrace.tables.delta import TenantTables

log = logging.getLogger(__name__)
COMMITS = 100
KEEP_HOURS = 24


class Tidying:
    """Folds files together every ``COMMITS``, beside appends."""

    def __init__(self, tables: TenantTables) -> None:
        self._tables = tables
        self._commits = 0
        self._thread: threading.Thread | None = None

    def after(self, table: Table) -> None:
        """After a commit."""
        self._commits += 1
        if self._commits % COMMITS == 0 and not (self._thread and self._thread.is_alive()):
            self._thread = threading.Thread(target=tidy, args=(self._tables, table), name="health-tidy", daemon=True)
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
