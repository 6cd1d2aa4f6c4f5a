"""Everything a tenant keeps of sources whose term is over, emptied or deleted: the log, the speed tables, what was pulled. jobs/expire_sources.py calls it, and builds after it.

Each set of tables has its owner. Where a stream runs it owns the log and does its part itself, once a day; this leaves it to that.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from millrace.definitions import Definitions
from millrace.errors import LeaseHeld
from millrace.expiry import Emptied, counted, is_over, over_at
from millrace.expiry_of_speed import drop_files, expire_speed
from millrace.faults import crash_point
from millrace.lease import writer_lease
from millrace.settings import BatchSettings
from millrace.tables.catalogue import EXPIRED_ROWS, REFUSED_ROWS, SEGMENT_MEMBERS, Table, entity_table, profiles_table, rows_table
from millrace.tables.delta import TenantTables, conform
from millrace.times import micros
from millrace.traits.dead_tiles import Gone

WAIT_S = 60.0
"""How long a pull that is under way may keep this from its tables."""


@dataclass
class Report:
    """``found``: rows of ``ops/expired``. ``left``: parts that a running process owns and does itself."""

    found: pa.Table = field(default_factory=EXPIRED_ROWS.schema.empty_table)
    left: list[str] = field(default_factory=list)

    def lines(self) -> list[dict[str, Any]]:
        """One for each source and table."""
        sums = self.found.group_by(["source", "table", "until"]).aggregate([("rows", "sum"), ("duplicates", "sum")]).sort_by([("source", "ascending"), ("table", "ascending")])
        return [{**row, "until": row["until"].isoformat()} for row in sums.rename_columns({"rows_sum": "rows", "duplicates_sum": "duplicates"}).to_pylist()]


def expire_sources(tables: TenantTables, definitions: Definitions, *, now: datetime, run_id: str, settings: BatchSettings, is_dry: bool = False) -> Report:
    """Takes the leases it needs. Safe to repeat; a run that was killed is completed by the next."""
    report = Report()
    if is_dry:
        log_rows = expire_speed(tables, definitions, now=now, run_id=run_id, keep_files_s=settings.keep_files, is_dry=True)
        report.found = pa.concat_tables([log_rows, expire_pulled(tables, definitions, now=now, run_id=run_id, keep_files_s=settings.keep_files, is_dry=True)])
        return report
    try:
        with writer_lease(tables.root, tables.tenant, "speed"):
            report.found = expire_speed(tables, definitions, now=now, run_id=run_id, keep_files_s=settings.keep_files)
    except LeaseHeld:
        report.left.append("log and speed tables: a stream runs, which expires them once a day and when it starts")
    with writer_lease(tables.root, tables.tenant, "pulls", wait_s=WAIT_S):
        pulled = expire_pulled(tables, definitions, now=now, run_id=run_id, keep_files_s=settings.keep_files)
    report.found = pa.concat_tables([report.found, pulled])
    return report


def expire_pulled(tables: TenantTables, definitions: Definitions, *, now: datetime, run_id: str, keep_files_s: float, is_dry: bool = False) -> pa.Table:
    """The same for rejected rows of sources and versions of entities, which are deleted: nothing counts them. A version's term runs from when it began to hold."""
    found = [EXPIRED_ROWS.schema.empty_table()]
    until = over_at(definitions.terms, now)
    names = {source.pull.entity for source in definitions.sources.values() if source.term and source.pull is not None and source.pull.entity}
    for table in (REFUSED_ROWS, *map(entity_table, sorted(names))):
        one = Emptied(table, (), "source", "as_of" if table is REFUSED_ROWS else "valid_from")
        if not is_dry:
            _delete(tables, one, _recorded(tables, table))  # what an earlier run had recorded and not come to
        rows = counted(tables, one, until, now=now, run_id=run_id) if until else found[0]
        found.append(rows)
        if len(rows) and not is_dry:
            tables.add(EXPIRED_ROWS, rows)
            crash_point("expiry.pulled_recorded")
            _delete(tables, one, until)
        if not is_dry:
            drop_files(tables, table, keep_files_s)
    return pa.concat_tables(found)


def _recorded(tables: TenantTables, table: Table) -> dict[str, int]:
    rows = tables.read(EXPIRED_ROWS, columns=["source", "until"], where=pc.field("table") == table.name).group_by("source").aggregate([("until", "max")])
    return {row["source"]: micros(row["until_max"]) for row in rows.to_pylist()}


def _delete(tables: TenantTables, one: Emptied, until: Gone) -> None:
    if until and len(tables.read(one.table, columns=["source"], where=is_over(one, until))):
        tables.replace(one.table, conform(tables.read(one.table, where=~is_over(one, until)), one.table.schema))


def drop_served_files(tables: TenantTables, definitions: Definitions, settings: BatchSettings) -> None:
    """Deletes files of serving tables that are no longer read, where a source has a term. The caller has published without what was over, and holds their lease."""
    served = [rows_table(name, view) if view.keyed.parts else profiles_table(view) for name, view in definitions.views.items()]
    for table in (*served, SEGMENT_MEMBERS) if definitions.terms else ():
        drop_files(tables, table, settings.keep_files)
