"""``serving/views/…`` for BI tools: one row a key of each view of other keys than persons, with finished traits at the head. Jobs and the runner call it after the profiles.

A table is written anew, in one commit, when the head, the version or a tile of its windows has changed.
"""

import logging
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from pyspark.sql import functions as F

from batch.finishing import finish_persons
from batch.head import Head, newest_head, receipt_columns
from batch.profiles import Session, tiles_of
from batch.windows import keys_with_windows
from millrace.columns.finish import finish_traits
from millrace.errors import NothingToDo
from millrace.settings import DEFAULTS, BatchSettings
from millrace.tables.catalogue import Table, batch_view, rows_table, speed_view
from millrace.tables.delta import TenantTables, conform
from millrace.traits.views import View

log = logging.getLogger(__name__)


def publish_rows(session: Session, tables: TenantTables, *, as_of: datetime | None = None, settings: BatchSettings = DEFAULTS.batch) -> int:
    """Brings the tables to the head; returns how many rows were written. NothingToDo before the first publish, without such views, and when all hold the head already."""
    head, as_of = newest_head(tables), as_of or datetime.now(UTC)
    views = {name: view for name, view in head.manifest.definitions.views.items() if view.keyed.parts}
    stale = {name: view for name, view in views.items() if not _holds(tables, rows_table(name, view), view, head, as_of=as_of)}
    if not stale:
        raise NothingToDo(f"serving/views/… hold every epoch up to {head.epoch} already" if views else "no view of other keys than persons is declared in views.yml")
    return sum(_publish(session, tables, head, name, view, as_of=as_of, settings=settings) for name, view in stale.items())


def _holds(tables: TenantTables, table: Table, view: View, head: Head, *, as_of: datetime) -> bool:
    """Whether the rows are what would be written. A table without rows is written again: it does not say when it was."""
    found = tables.open(table)
    if found is None or [field.name for field in found.schema().fields] != table.schema.names:
        return False
    rows = tables.read(table, columns=["as_of", "manifest_id", "head"])
    if not len(rows) or [pc.unique(rows[name]).to_pylist() for name in ("manifest_id", "head")] != [[head.manifest.manifest_id], [head.epoch]]:
        return False
    written = pc.max(rows["as_of"]).as_py()
    return written <= as_of and tiles_of(view, written) == tiles_of(view, as_of)


def _publish(session: Session, tables: TenantTables, head: Head, name: str, view: View, *, as_of: datetime, settings: BatchSettings) -> int:
    table, states = rows_table(name, view), batch_view(name, view)
    receipt = receipt_columns(head, as_of=as_of)
    if DeltaTable(tables.path(states), version=head.manifest.tables[states.name]).count() <= settings.profiles_in_driver_rows:
        found = _with_parts(finish_persons(keys_with_windows(tables, head, name, as_of=as_of), view, keep=["key"], as_of=as_of), view)
        for column, value in receipt.items():
            found = found.append_column(column, pa.repeat(pa.scalar(value, table.schema.field(column).type), len(found)))
        tables.replace(table, conform(found, table.schema))
    else:
        read = session().read.format("delta")
        batch = read.option("versionAsOf", head.manifest.tables[states.name]).load(tables.path(states))
        speed = session().read.format("delta").load(tables.path(speed_view(name, view)))
        fresh = speed.filter((F.col("epoch") > head.cut) & (F.col("epoch") <= head.epoch) & F.col("key").isNotNull())
        tiles = batch.unionByName(fresh.select(*(F.col(f"`{column}`") for column in states.schema.names)))
        parts = [F.col("key")] if len(view.keyed.names) == 1 else [F.from_json("key", "ARRAY<STRING>")[number] for number in range(len(view.keyed.names))]
        finished = finish_traits(tiles, view, by="key", as_of=as_of).select(
            *(part.alias(column) for part, column in zip(parts, view.keyed.names, strict=True)), "*", *(F.lit(value).alias(column) for column, value in receipt.items())
        )
        tables.create(table)
        finished.select(*table.schema.names).write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(tables.path(table))
    rows = DeltaTable(tables.path(table)).count()
    log.info("rows published view=%s rows=%d manifest_id=%d head=%d", name, rows, head.manifest.manifest_id, head.epoch)
    return rows


def _with_parts(rows: pa.Table, view: View) -> pa.Table:
    """The rows with the parts of their keys as columns."""
    parts = [view.keyed.values(key) for key in rows["key"].to_pylist()]
    for number, name in enumerate(view.keyed.names):
        rows = rows.append_column(name, pa.array([values[number] for values in parts], pa.string()))
    return rows
