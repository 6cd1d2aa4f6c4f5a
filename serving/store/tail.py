"""Rows of a speed table by epoch: reads each file once, however often the owner compacts or trims. generation.py calls it.

A compaction writes old rows into new files; since rows are asked for by epoch and files are dropped when all their epochs are taken, none counts twice.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.tables.catalogue import Table
from millrace.tables.delta import TenantTables
from serving.store.commits import CommitLog, DataFile

_ENDLESS = 2**62


class EpochTail:
    """Rows of one table whose epoch is greater than ``after``, for one reader that takes them in epoch order. ``column``: what counts its epochs."""

    def __init__(self, tables: TenantTables, table: Table, *, after: int, column: str = "epoch") -> None:
        self._log = CommitLog(tables, table, column=column)
        self._column = column
        self._after = after
        self._files: dict[str, DataFile] = {}
        self._add(self._log.snapshot())

    def refresh(self) -> bool:
        """Notes what has been committed since, reading no rows; whether there was anything."""
        commits = self._log.poll()
        for commit in commits:
            self._add(commit.added)
            for path in commit.removed:
                self._files.pop(path, None)
        return bool(commits)

    def rows(self, upto: int = _ENDLESS) -> pa.Table:
        """Rows with an epoch after the last one taken and ≤ ``upto``. Call ``refresh`` after the head was read and before this."""
        parts = [self._log.table.schema.empty_table()]
        for file in list(self._files.values()):
            if _first(file) > upto:
                continue
            rows = self._log.read(file)
            if file.first is None or file.last is None:
                file = self._measured(file, rows)
            if _first(file) <= self._after or _last(file) > upto:
                rows = rows.filter((pc.field(self._column) > self._after) & (pc.field(self._column) <= upto))
            parts.append(rows)
        return pa.concat_tables(parts)

    def taken(self, upto: int) -> None:
        """The rows up to this epoch have been applied: their files are not looked at again."""
        self._after = upto
        self._files = {path: file for path, file in self._files.items() if _last(file) > upto}

    def _add(self, files: list[DataFile] | tuple[DataFile, ...]) -> None:
        self._files.update({file.path: file for file in files if _last(file) > self._after})

    def _measured(self, file: DataFile, rows: pa.Table) -> DataFile:
        """The file with its real bounds, when the log has none."""
        epochs = rows[self._column].to_numpy()
        bounds = (int(np.min(epochs)), int(np.max(epochs))) if len(epochs) else (0, 0)
        self._files[file.path] = measured = replace(file, first=bounds[0], last=bounds[1])
        return measured


def _first(file: DataFile) -> int:
    return 0 if file.first is None else file.first


def _last(file: DataFile) -> int:
    return _ENDLESS if file.last is None else file.last
