"""Reads the log part by part: whole epochs up to the ledger's head, each record once, and counted as the ledger says. following.py calls it."""

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from millrace.errors import CoverageError
from millrace.tables.catalogue import EVENTS, REJECTED, Table
from millrace.tables.delta import TenantTables, conform
from serving.data_health.counting import EVENT_COLUMNS, REJECTED_COLUMNS
from serving.store.ledger_tail import LedgerTail

AT_ONCE = 100_000
"""Records that are in memory at once, unless one epoch has more."""


class Part(NamedTuple):
    """Rows of the epochs after the last part up to ``epoch``."""

    epoch: int
    events: pa.Table
    rejected: pa.Table


def next_part(tables: TenantTables, ledger: LedgerTail, *, after: int) -> Part | None:
    """The next epochs after one; None at the head. CoverageError when the log holds other than the ledger says: nothing is counted then."""
    if after >= ledger.head:
        return None
    upto, before = after + 1, ledger.counts(after)
    while upto < ledger.head and ledger.counts(upto + 1)["received"] - before["received"] <= AT_ONCE:
        upto += 1
    counts = {name: count - before[name] for name, count in ledger.counts(upto).items()}
    where = (pc.field("epoch") > after) & (pc.field("epoch") <= upto)
    events = _read(tables, EVENTS, EVENT_COLUMNS, where) if counts["accepted"] + counts["duplicate"] else _nothing(EVENTS, EVENT_COLUMNS)
    rejected = _read(tables, REJECTED, REJECTED_COLUMNS, where) if counts["rejected"] else _nothing(REJECTED, REJECTED_COLUMNS)
    duplicates = pc.sum(events["is_duplicate"]).as_py() or 0
    found = {"accepted": len(events) - duplicates, "duplicate": duplicates, "rejected": len(rejected)}
    if wrong := [f"{found[name]} {name} and the ledger {counts[name]}" for name in found if found[name] != counts[name]]:
        raise CoverageError(f"log/events and log/rejected hold of epochs {after + 1} to {upto}: {', '.join(wrong)}; restore the tables, nothing is measured from a log with holes")
    return Part(upto, events, rejected)


def _read(tables: TenantTables, table: Table, columns: Sequence[str], where: pc.Expression) -> pa.Table:
    return conform(tables.read(table, columns=columns, where=where), _schema(table, columns))


def _nothing(table: Table, columns: Sequence[str]) -> pa.Table:
    return _schema(table, columns).empty_table()


def _schema(table: Table, columns: Sequence[str]) -> pa.Schema:
    return pa.schema([table.schema.field(name) for name in columns])
