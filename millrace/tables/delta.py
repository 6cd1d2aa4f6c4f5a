"""Delta tables without a JVM: create, append exactly once, read at a version, roll back what the ledger does not know. Edges only: this module does I/O."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import ColumnProperties, CommitProperties, DeltaTable, Transaction, WriterProperties, write_deltalake
from deltalake.exceptions import TableNotFoundError
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from millrace.errors import CoverageError
from millrace.tables.catalogue import Table, table_path

log = logging.getLogger(__name__)


_PLAIN = ColumnProperties(dictionary_enabled=False)
_COMPACT = WriterProperties(compression="ZSTD", compression_level=1, default_column_properties=_PLAIN)
"""Of an epoch's rows: half the bytes of the default (snappy after dictionaries that ids and payloads soon outgrow) and a tenth less work."""
_QUICK = WriterProperties(compression="SNAPPY", default_column_properties=_PLAIN)
"""Of increments, which go when a batch has them: more bytes, half the work."""


class TenantTables:
    """The tables of one tenant under a root: the one place that turns a table of the catalogue into Delta reads and commits."""

    def __init__(self, root: str | Path, tenant: str) -> None:
        self.root, self.tenant = str(root), tenant

    def path(self, table: Table | str) -> str:
        return table_path(self.root, self.tenant, table)

    def create(self, table: Table) -> DeltaTable:
        """The table, made when missing; a column the catalogue has and the table lacks is added (old rows read as null)."""
        try:
            found = DeltaTable(self.path(table))
        except TableNotFoundError:
            Path(self.path(table)).mkdir(parents=True, exist_ok=True)
            return DeltaTable.create(self.path(table), schema=table.schema, mode="ignore", configuration=table.properties)
        have = {field.name for field in found.schema().fields}
        if any(name not in have for name in table.schema.names):
            write_deltalake(found, table.schema.empty_table(), mode="append", schema_mode="merge")
            log.info("columns added table=%s", table.name)
        return DeltaTable(self.path(table))

    def open(self, table: Table | str, *, version: int | None = None) -> DeltaTable | None:
        """The table at a version (default: newest); None when it does not exist yet."""
        try:
            return DeltaTable(self.path(table), version=version)
        except TableNotFoundError:
            return None

    def read(self, table: Table | str, *, columns: Sequence[str] | None = None, where: ds.Expression | None = None, version: int | None = None) -> pa.Table:
        """Rows of the table at a version; CoverageError when a file the log names is missing. No rows when the table does not exist."""
        found = self.open(table, version=version)
        if found is None:
            if isinstance(table, str):
                raise CoverageError(f"table {table} does not exist under {self.root}/{self.tenant}; check the root and the tenant")
            schema = table.schema
            return (schema if columns is None else pa.schema([schema.field(name) for name in columns])).empty_table()
        try:
            return _dataset(found).to_table(columns=list(columns) if columns is not None else None, filter=where)
        except FileNotFoundError as error:
            raise _missing(found, error) from error

    def batches(self, table: Table, *, columns: Sequence[str], where: ds.Expression) -> Iterator[pa.RecordBatch]:
        """Rows of a table that may not fit into memory, in parts; errors as ``read``."""
        found = self.open(table)
        if found is None:
            return
        try:
            yield from _dataset(found).to_batches(columns=list(columns), filter=where)
        except FileNotFoundError as error:
            raise _missing(found, error) from error

    def append(self, table: Table, rows: pa.Table, *, app_id: str, epoch: int) -> bool:
        """Appends the rows of an epoch exactly once; False when the epoch is in the table already. Zero rows still record the epoch."""
        found = DeltaTable(self.path(table))
        if (found.transaction_version(app_id) or 0) >= epoch:
            return False
        properties = CommitProperties(app_transactions=[Transaction(app_id, epoch)])
        lacks_columns = len(table.schema) < len(found.schema().fields)  # states of earlier definitions: null from now on
        mode = "merge" if lacks_columns else None
        writer = _QUICK if table.brief else _COMPACT
        write_deltalake(found, conform(rows, table.schema), mode="append", schema_mode=mode, commit_properties=properties, writer_properties=writer)
        return True

    def add(self, table: Table, rows: pa.Table) -> int:
        """Appends rows without an epoch (manifest, runs, requests): each call is one commit. Returns the table's version after it."""
        found = self.create(table)
        write_deltalake(found, conform(rows, table.schema), mode="append")
        found.update_incremental()
        return found.version()

    def rewrite_epochs(self, table: Table, rows: pa.Table, epochs: Sequence[int]) -> None:
        """Puts the rows in the place of all rows of these epochs, in one commit that no epoch counts as its own. Only for the owner of the table.
        (delta-rs's own delete and update leave files that Arrow cannot filter.)"""
        where = f"epoch IN ({', '.join(map(str, epochs))})"
        write_deltalake(DeltaTable(self.path(table)), conform(rows, table.schema), mode="overwrite", predicate=where, writer_properties=_COMPACT)

    def replace(self, table: Table, rows: pa.Table | pa.RecordBatchReader) -> int:
        """Replaces all rows in one commit and returns the new version; older versions stay readable until vacuumed. A reader gives the table's own columns."""
        self.create(table)
        found = DeltaTable(self.path(table))
        write_deltalake(found, conform(rows, table.schema) if isinstance(rows, pa.Table) else rows, mode="overwrite", schema_mode="overwrite")
        found.update_incremental()
        return found.version()


def _dataset(table: DeltaTable) -> ds.Dataset:
    """The rows of a table. Local files are read by Arrow itself: through the store of delta-rs they take three times as long."""
    root = urlsplit(table.table_uri)
    local = SubTreeFileSystem(unquote(root.path), LocalFileSystem()) if root.scheme in ("", "file") else None
    return table.to_pyarrow_dataset(filesystem=local)


def _missing(table: DeltaTable, error: FileNotFoundError) -> CoverageError:
    return CoverageError(f"a data file of {table.table_uri} is missing ({error}); restore it from a backup, nothing is served from a table with holes")


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows with exactly the columns, order and types of the schema; columns they lack become null."""
    columns = [rows[field.name].cast(field.type) if field.name in rows.column_names else pa.nulls(len(rows), field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)
