"""Following the ledger: the head is what is proven."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from millrace.tables.catalogue import LEDGER
from millrace.tables.delta import TenantTables
from serving.store.ledger_tail import LedgerTail

START = {"shard": "0", "topic": "t", "partition": 0, "accepted": 1, "rejected": 2, "duplicate": 3, "definitions_hash": "a"}


@pytest.fixture
def tables(tmp_path: Path) -> TenantTables:
    return TenantTables(tmp_path, "t")


def write(tables: TenantTables, epoch: int, start: int, end: int, **more: Any) -> None:
    row = {**START, "epoch": epoch, "start_offset": start, "end_offset": end, **more}
    tables.add(LEDGER, pa.Table.from_pylist([row], schema=LEDGER.schema))


def test_the_head_moves_with_each_epoch(tables: TenantTables) -> None:
    ledger = LedgerTail(tables)
    assert (ledger.poll(), ledger.head) == (False, 0)
    write(tables, 1, 0, 5)
    assert (ledger.poll(), ledger.poll(), ledger.head) == (True, False, 1)
    assert ledger.counts(1) == {"accepted": 1, "rejected": 2, "duplicate": 3, "received": 6}
    assert ledger.counts(0)["received"] == 0


def test_an_epoch_has_a_row_for_each_partition(tables: TenantTables) -> None:
    rows = [{**START, "epoch": epoch, "partition": partition, "start_offset": epoch, "end_offset": epoch + 1} for epoch in (1, 2) for partition in (0, 1)]
    tables.add(LEDGER, pa.Table.from_pylist(rows, schema=LEDGER.schema))
    ledger = LedgerTail(tables)
    ledger.poll()
    assert (ledger.head, ledger.accepted(0, 2).tolist(), ledger.counts(2)["accepted"]) == (2, [2, 2], 4)


def test_a_hole_stops_the_head_until_it_is_mended(tables: TenantTables) -> None:
    ledger = LedgerTail(tables)
    write(tables, 1, 0, 5)
    write(tables, 3, 9, 12)
    ledger.poll()
    assert ledger.head == 1
    assert ledger.problem and "no epoch 2 but has epoch 3" in ledger.problem
    write(tables, 2, 5, 9)
    assert (ledger.poll(), ledger.head, ledger.problem) == (True, 3, None)


@pytest.mark.parametrize("start", [4, 6])
def test_offsets_that_do_not_join_stop_the_head(tables: TenantTables, start: int) -> None:
    write(tables, 1, 0, 5)
    ledger = LedgerTail(tables)
    ledger.poll()
    write(tables, 2, start, 9)
    write(tables, 3, 9, 12)
    ledger.poll()
    assert ledger.head == 1
    assert ledger.problem and f"from offset {start} to 9 but the epoch before it ended at 5" in ledger.problem


def test_other_shards_do_not_count(tables: TenantTables) -> None:
    write(tables, 1, 0, 5, shard="1")
    ledger = LedgerTail(tables)
    ledger.poll()
    assert ledger.head == 0


def test_the_first_epoch_under_other_definitions_is_found(tables: TenantTables) -> None:
    for epoch, found in enumerate("aabbc", start=1):
        write(tables, epoch, epoch, epoch + 1, definitions_hash=found)
    ledger = LedgerTail(tables)
    ledger.poll()
    assert [ledger.first_other(after, {"a"}) for after in (0, 2, 3, 5)] == [3, 3, 4, None]
    assert [ledger.first_other(after, {"a", "b"}) for after in (0, 4)] == [5, 5]
    assert ledger.first_other(2, {"b", "c"}) is None


def test_it_knows_where_the_records_since_an_instant_begin_and_where_partitions_end(tables: TenantTables) -> None:
    ledger = LedgerTail(tables)
    assert ledger.first_received_since(0) == 1
    for epoch, minute in ((1, 5), (2, 20), (3, None), (4, 10)):
        at = None if minute is None else datetime(2026, 3, 1, 0, minute, tzinfo=UTC)
        write(tables, epoch, epoch, epoch + 1, received_until=at, committed_at=datetime(2026, 3, 1, 0, minute or 15, 30, tzinfo=UTC))
    ledger.poll()
    instants = {minute: int(datetime(2026, 3, 1, 0, minute, tzinfo=UTC).timestamp() * 1_000_000) for minute in (0, 5, 6, 20, 21)}
    assert [ledger.first_received_since(at) for at in instants.values()] == [1, 1, 2, 2, 5]
    assert ledger.ends == {("t", 0): 5}
