"""Empties the log of what sources with a term have sent once it is over, and says in ``ops/expired`` what and until when. Whoever owns the log calls it: the stream, or a job.

A row stays where it was, with its offset, its epoch and the digest by which duplicates are known; everything it said is null. So the ledger still adds up, and the same
message is still known when it comes again (ADR 0028). The record comes first: readers leave out what it names whether it is emptied yet or not, and whoever comes next
empties the rest.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import or_

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from millrace.faults import crash_point
from millrace.tables.catalogue import EVENTS, EXPIRED_ROWS, REJECTED, TIME, Table
from millrace.tables.delta import TenantTables, conform
from millrace.times import MICROS, micros
from millrace.traits.dead_tiles import Gone

log = logging.getLogger(__name__)
ROWS_AT_ONCE = 500_000


@dataclass(frozen=True)
class Emptied:
    """What becomes null of a row of a table, and by which column it is known to hold something still. ``since``: from when its term runs."""

    table: Table
    columns: tuple[str, ...]
    holds: str
    since: str


OF_LOG = (
    Emptied(EVENTS, ("message_id", "name", "node", "identifiers", "payload", "violations"), "payload", "event_time"),
    Emptied(REJECTED, ("message_id", "digest", "payload", "violations"), "digest", "received_at"),
)
"""Of a rejected record nobody knows when it happened: its term runs from when it came."""


def read_gone(tables: TenantTables, terms: Mapping[str, int]) -> dict[str, int]:
    """Until when the log has been emptied of each source. Not later than the term as it is declared now says of the last run: what came since under a longer one is there."""
    of_log = pc.field("table").isin([one.table.name for one in OF_LOG])
    rows = tables.read(EXPIRED_ROWS, columns=["source", "until", "expired_at"], where=of_log)
    found: dict[str, int] = {}
    for row in rows.group_by("source").aggregate([("until", "max"), ("expired_at", "max")]).to_pylist():
        if (term := terms.get(row["source"])) is not None:
            found[row["source"]] = min(micros(row["until_max"]), micros(row["expired_at_max"]) - term * MICROS)
    return dict(sorted(found.items()))


def over_at(terms: Mapping[str, int], now: datetime) -> dict[str, int]:
    """Until when what each source has said is over at a time."""
    return {source: micros(now) - term * MICROS for source, term in terms.items()}


def expire_log(tables: TenantTables, terms: Mapping[str, int], *, now: datetime, run_id: str, is_dry: bool = False) -> pa.Table:
    """Rows of ``ops/expired`` for what is over at ``now`` and was not before. With ``is_dry`` nothing is written. The caller owns the log; safe to repeat, whatever killed it."""
    if not terms:
        return EXPIRED_ROWS.schema.empty_table()
    if not is_dry and (gone := read_gone(tables, terms)):
        _empty_log(tables, gone)  # what an earlier run had recorded and not come to
    until = over_at(terms, now)
    found = pa.concat_tables([counted(tables, one, until, now=now, run_id=run_id) for one in OF_LOG])
    if is_dry or not len(found):
        return found
    tables.add(EXPIRED_ROWS, found)
    crash_point("expiry.recorded")
    _empty_log(tables, until)
    log.info("log emptied run_id=%s rows=%d", run_id, pc.sum(found["rows"]).as_py())
    return found


def _empty_log(tables: TenantTables, until: Gone) -> None:
    for one in OF_LOG:
        _empty(tables, one, until)
        crash_point("expiry.table_emptied")


def is_over(one: Emptied, until: Gone) -> pc.Expression:
    """The rows of a table that hold something of which the term is over."""
    of_source = [(pc.field("source") == name) & (pc.field(one.since) <= pa.scalar(last, TIME)) for name, last in until.items()]
    return reduce(or_, of_source) & pc.field(one.holds).is_valid()


def counted(tables: TenantTables, one: Emptied, until: Gone, *, now: datetime, run_id: str) -> pa.Table:
    """Rows of ``ops/expired`` that say what of a table is over."""
    have = [name for name in ("source", "epoch", "topic", "partition", "is_duplicate") if name in one.table.schema.names]
    rows = tables.read(one.table, columns=have, where=is_over(one, until))
    is_duplicate = rows["is_duplicate"].cast(pa.int64()) if "is_duplicate" in have else pa.array(np.zeros(len(rows), np.int64))
    keys = [name for name in have if name != "is_duplicate"]
    grouped = rows.select(keys).append_column("duplicates", is_duplicate).group_by(keys).aggregate([([], "count_all"), ("duplicates", "sum")])
    found = [
        {name: row[name] for name in keys} | {"rows": row["count_all"], "duplicates": row["duplicates_sum"], "table": one.table.name, "run_id": run_id, "expired_at": now}
        for row in grouped.sort_by([(name, "ascending") for name in keys]).to_pylist()
    ]
    times = pa.array([until[row["source"]] for row in found], pa.int64()).cast(TIME)
    return conform(pa.Table.from_pylist(found, schema=EXPIRED_ROWS.schema).drop_columns(["until"]).append_column("until", times), EXPIRED_ROWS.schema)


def _empty(tables: TenantTables, one: Emptied, until: Gone) -> None:
    """Each commit takes some epochs; what it does not come to, the next run finds."""
    over = is_over(one, until)
    epochs = tables.read(one.table, columns=["epoch"], where=over)["epoch"].unique().sort().to_pylist()
    for some in in_parts(tables, one.table, epochs):
        rows = conform(tables.read(one.table, where=pc.field("epoch").isin(some)), one.table.schema)
        is_hit = ds.dataset(rows).to_table(columns={"hit": over})["hit"].fill_null(False).to_numpy()
        place = pa.array(np.arange(len(rows)), mask=is_hit)
        for name in one.columns:
            rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name), rows[name].combine_chunks().take(place))
        tables.rewrite_epochs(one.table, rows, some)


def in_parts(tables: TenantTables, table: Table, epochs: list[int]) -> Iterator[list[int]]:
    """The epochs, so many at a time that their rows fit into memory."""
    sizes = tables.read(table, columns=["epoch"], where=pc.field("epoch").isin(epochs)).group_by("epoch").aggregate([([], "count_all")]).sort_by("epoch") if epochs else None
    some: list[int] = []
    rows = 0
    for epoch, size in zip(sizes["epoch"].to_pylist(), sizes["count_all"].to_pylist(), strict=True) if sizes is not None else ():
        if some and (rows + size > ROWS_AT_ONCE or len(some) >= 1_000):
            yield some
            some, rows = [], 0
        some.append(epoch)
        rows += size
    if some:
        yield some
