"""What the owner of the log and the speed tables does about terms: empties the log (expiry.py), takes dead tiles out of increments, and drops the files that hold either.

The stream's housekeeping calls it, and ``jobs.expire_sources`` while no stream runs.
"""

import math
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable

from millrace.definitions import Definitions
from millrace.expiry import OF_LOG, expire_log, in_parts, read_gone
from millrace.faults import crash_point
from millrace.tables.catalogue import Table, speed_view
from millrace.tables.delta import TenantTables
from millrace.traits.dead_tiles import Gone, dead_rows, living
from millrace.traits.states import Hops


def expire_speed(tables: TenantTables, definitions: Definitions, *, now: datetime, run_id: str, keep_files_s: float, is_dry: bool = False) -> pa.Table:
    """Rows of ``ops/expired`` for what became over. ``keep_files_s``: how old a file must be before it goes, because a reader may have it open."""
    found = expire_log(tables, definitions.terms, now=now, run_id=run_id, is_dry=is_dry)
    if is_dry:
        return found
    gone = read_gone(tables, definitions.terms)
    for name, view in definitions.views.items():
        _drop_tiles(tables, speed_view(name, view), view.states, gone)
    crash_point("expiry.tiles_dropped")
    for table in (*(one.table for one in OF_LOG), *(speed_view(name, view) for name, view in definitions.views.items())):
        drop_files(tables, table, keep_files_s)
    return found


def drop_files(tables: TenantTables, table: Table, keep_files_s: float) -> None:
    """Deletes the files that no current row stands in and that are old enough."""
    if (found := tables.open(table)) is not None:
        found.vacuum(retention_hours=math.ceil(keep_files_s / 3600), dry_run=False, enforce_retention_duration=False)


def _drop_tiles(tables: TenantTables, table: Table, states: Hops, gone: Gone) -> None:
    """Takes dead tiles out of a speed table, some epochs at a time. Which columns it has is what definitions since its beginning have brought."""
    where = dead_rows(states, gone)
    found = tables.open(table)
    if where is None or found is None or not {state.name for state in states} <= {field.name for field in found.schema().fields}:
        return
    epochs = tables.read(table.name, columns=["epoch"], where=where)["epoch"].unique().sort().to_pylist()
    for some in in_parts(tables, table, epochs):
        rows = tables.read(table.name, where=pc.field("epoch").isin(some))
        tables.rewrite_epochs(_with_columns(table, found), living(rows, states, gone), some)


def _with_columns(table: Table, found: DeltaTable) -> Table:
    """The table with the columns it has on disk: those of states that earlier definitions kept too."""
    return Table(table.name, pa.schema(found.schema().to_arrow()), table.statistics, hot=table.hot, brief=table.brief)
