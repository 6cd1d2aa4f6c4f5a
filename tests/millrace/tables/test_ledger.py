"""The ledger as readers see it. That no hole is read over is law 8, in tests/laws."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from millrace.tables.catalogue import LEDGER, LOG_LEDGER
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import read_ledger


def row(epoch: int, partition: int, start: int, end: int, definitions: str = "d1", shard: str = "0") -> dict:
    counts = {"accepted": end - start, "rejected": 0, "duplicate": 0}
    place = {"shard": shard, "epoch": epoch, "topic": "t.events", "partition": partition, "start_offset": start, "end_offset": end}
    return place | counts | {"definitions_hash": definitions, "received_until": None, "committed_at": datetime(2026, 3, 1, tzinfo=UTC)}


@pytest.fixture
def tables(tmp_path: Path) -> TenantTables:
    found = TenantTables(tmp_path, "t")
    rows = [row(1, 0, 0, 4), row(1, 1, 0, 0), row(2, 0, 4, 4, "d2"), row(2, 1, 0, 0, "d2"), row(3, 0, 4, 9, "d2"), row(3, 1, 0, 2, "d2"), row(1, 0, 0, 7, shard="1")]
    found.create(LEDGER)
    for epoch in (1, 2, 3):
        found.append(LEDGER, pa.Table.from_pylist([one for one in rows if one["epoch"] == epoch], schema=LOG_LEDGER), app_id="g", epoch=epoch)
    return found


def test_a_tenant_without_a_ledger_has_head_zero(tmp_path):
    ledger = read_ledger(TenantTables(tmp_path, "nobody"))
    assert (ledger.head, ledger.offsets(), ledger.counts()["received"]) == (0, {}, 0)


def test_head_offsets_and_counts_at_the_head_and_at_an_earlier_epoch(tables):
    ledger = read_ledger(tables)
    assert ledger.head == 3
    assert ledger.offsets() == {"t.events": {0: 9, 1: 2}}
    assert ledger.offsets(1) == {"t.events": {0: 4, 1: 0}}
    assert ledger.counts() == {"accepted": 11, "rejected": 0, "duplicate": 0, "received": 11}
    assert ledger.counts(2)["received"] == 4
    assert ledger.offsets_json(1) == '{"t.events": {"0": 4, "1": 0}}'


def test_a_ledger_read_up_to_a_head_knows_nothing_later(tables):
    assert read_ledger(tables, head=2).head == 2


def test_definitions_of_the_epochs_after_one(tables):
    ledger = read_ledger(tables)
    assert ledger.definitions_since(0) == {"d1", "d2"}
    assert ledger.definitions_since(1) == {"d2"}
    assert ledger.definitions_since(3) == set()


def test_shards_have_ledgers_of_their_own(tables):
    assert read_ledger(tables, shard="1").offsets() == {"t.events": {0: 7}}
