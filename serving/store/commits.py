"""Follows the Delta log of one table without opening the table: which files each new commit adds and removes. tail.py and the ledger call it.

Asking for the next commit is one look for one file (2 µs against 1.3 ms for delta-rs' ``update_incremental`` and some 100 ms to plan a scan of a
table with 400 small files), so it may be asked many times a second, however long the log has become.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

import msgspec
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from millrace.errors import CoverageError
from millrace.tables.catalogue import Table
from millrace.tables.delta import TenantTables, conform

NO_VERSION = -1


class _Statistics(msgspec.Struct):
    minValues: dict[str, msgspec.Raw] = {}
    maxValues: dict[str, msgspec.Raw] = {}


class _Add(msgspec.Struct):
    path: str
    stats: str | None = None


class _Remove(msgspec.Struct):
    path: str


class _Action(msgspec.Struct):
    add: _Add | None = None
    remove: _Remove | None = None


_action = msgspec.json.Decoder(_Action)
_statistics = msgspec.json.Decoder(_Statistics)


@dataclass(frozen=True)
class DataFile:
    """A file of the table; ``first`` and ``last`` bound the column that was asked for, None when its statistics are missing."""

    path: str
    first: int | None
    last: int | None


@dataclass(frozen=True)
class Commit:
    version: int
    added: tuple[DataFile, ...]
    removed: tuple[str, ...]


class CommitLog:
    """One table's log from a version on. ``column`` is the integer column whose bounds the files are wanted with, if any."""

    def __init__(self, tables: TenantTables, table: Table, *, column: str = "") -> None:
        self.table, self.column = table, column
        self.version = NO_VERSION
        self._tables = tables
        uri = tables.path(table)
        self._fs, base = pafs.FileSystem.from_uri(uri) if "://" in uri else (pafs.LocalFileSystem(), uri)
        self._base = PurePosixPath(base)

    def snapshot(self) -> list[DataFile]:
        """Files of the newest version; ``poll`` continues after it. No files when the table does not exist yet."""
        found = self._tables.open(self.table)
        if found is None:
            self.version = NO_VERSION
            return []
        self.version = found.version()
        actions = pa.table(found.get_add_actions(flatten=True))
        bounds = [
            actions[f"{end}.{self.column}"].to_pylist() if f"{end}.{self.column}" in actions.column_names else [None] * len(actions) for end in ("min", "max")
        ]
        return [DataFile(unquote(path), *ends) for path, *ends in zip(actions["path"].to_pylist(), *bounds, strict=True)]

    def poll(self) -> list[Commit]:
        """Commits made since the last call, oldest first. A commit that is half written is left for the next call."""
        commits: list[Commit] = []
        while (text := self._next()) is not None:
            try:
                actions = [_action.decode(line) for line in text.splitlines() if line.strip()]
            except msgspec.DecodeError:
                break
            self.version += 1
            added = tuple(self._data_file(action.add) for action in actions if action.add)
            commits.append(Commit(self.version, added, tuple(unquote(action.remove.path) for action in actions if action.remove)))
        return commits

    def read(self, file: DataFile) -> pa.Table:
        """All rows of one file as the catalogue's columns; CoverageError when it is gone."""
        try:
            with self._fs.open_input_file(str(self._base / file.path)) as source:
                parquet = pq.ParquetFile(source)
                wanted = [name for name in self.table.schema.names if name in parquet.schema_arrow.names]
                return conform(parquet.read(columns=wanted, use_threads=False), self.table.schema)
        except FileNotFoundError as error:
            raise CoverageError(
                f"a data file of {self.table.name} is missing ({file.path}); restore it from a backup, nothing is served from a table with holes"
            ) from error

    def _next(self) -> bytes | None:
        path = str(self._base / "_delta_log" / f"{self.version + 1:020d}.json")
        if self._fs.get_file_info(path).type == pafs.FileType.NotFound:
            return None
        with self._fs.open_input_stream(path) as stream:
            return stream.read()

    def _data_file(self, add: _Add) -> DataFile:
        statistics = _statistics.decode(add.stats) if add.stats else _Statistics()
        first, last = statistics.minValues.get(self.column), statistics.maxValues.get(self.column)
        return DataFile(unquote(add.path), msgspec.json.decode(first) if first is not None else None, msgspec.json.decode(last) if last is not None else None)
