"""Law 8: a hole in the ledger is never read over. Every row removed, doubled or altered is a CoverageError."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from millrace.errors import CoverageError
from millrace.tables.catalogue import LEDGER, LOG_LEDGER
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import check_coverage, read_ledger
from tests.laws.law import law

LENGTHS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=6)


def ledger_rows(lengths: list[tuple[int, ...]], new_partition_at: int | None = None) -> list[dict]:
    """Rows of epochs 1…n over partitions that get so many records each; a partition may appear later, from its offset 0."""
    rows, ends = [], {}
    for number, parts in enumerate(lengths):
        for partition, length in enumerate(parts):
            if new_partition_at is not None and partition == 1 and number < new_partition_at:
                continue
            start = ends.get(partition, 0)
            ends[partition] = start + length
            rows.append(
                {
                    "shard": "0", "epoch": number + 1, "topic": "t.events", "partition": partition, "start_offset": start, "end_offset": start + length,
                    "accepted": length, "rejected": 0, "duplicate": 0, "definitions_hash": "d", "committed_at": datetime(2026, 3, 1, tzinfo=UTC),
                }
            )  # fmt: skip
    return rows


def check(rows: list[dict]) -> None:
    table = pa.Table.from_pylist(rows, schema=LOG_LEDGER)
    check_coverage(table.sort_by([("epoch", "ascending"), ("topic", "ascending"), ("partition", "ascending")]))


@law(share=0.2)
@given(lengths=LENGTHS, later=st.none() | st.integers(1, 5))
def test_a_sound_ledger_is_accepted(lengths, later):
    check(ledger_rows(lengths, later))


@law(share=0.2)
@given(lengths=LENGTHS, which=st.integers(0, 99))
def test_every_removed_row_is_found(lengths, which):
    """Not found, because nothing contradicts it: a last epoch that is gone altogether, and a partition whose only row, or whose empty first row, is gone."""
    rows = ledger_rows(lengths)
    removed = rows.pop(which % len(rows))
    assume(removed["epoch"] > 1 or (removed["end_offset"] > 0 and len(lengths) > 1))
    with pytest.raises(CoverageError, match=r"epoch \d+"):
        check(rows)


@law(share=0.2)
@given(lengths=LENGTHS, which=st.integers(0, 99), field=st.sampled_from(["epoch", "start_offset", "end_offset", "partition"]), by=st.integers(-9, 9))
def test_every_altered_offset_epoch_or_partition_is_found(lengths, which, field, by):
    """Not found, because nothing contradicts it: where the first epoch starts, another end of the last one, the name of a partition when there is one epoch.

    The counts of the log say these (law 7, test_real_stack.py).
    """
    rows = ledger_rows(lengths)
    row = rows[which % len(rows)]
    assume(by and not (field == "end_offset" and row["epoch"] == len(lengths) and row["end_offset"] + by >= row["start_offset"]))
    assume(not (row["epoch"] == 1 and field == "start_offset") and not (len(lengths) == 1 and field == "partition"))
    row[field] += by
    with pytest.raises(CoverageError):
        check(rows)


@law(share=0.1)
@given(lengths=LENGTHS, which=st.integers(0, 99))
def test_every_doubled_row_is_found(lengths, which):
    rows = ledger_rows(lengths)
    with pytest.raises(CoverageError):
        check([*rows, rows[which % len(rows)]])


def test_a_reader_that_follows_the_ledger_finds_what_one_read_finds():
    rows = [pa.Table.from_pylist([row for row in ledger_rows([(2, 1), (0, 3), (1, 1)]) if row["epoch"] == epoch], schema=LOG_LEDGER) for epoch in (1, 2, 3)]
    ends = check_coverage(rows[0])
    with pytest.raises(CoverageError, match="no epoch 2"):
        check_coverage(rows[2], after=1, ends=ends)
    ends = check_coverage(rows[1], after=1, ends=ends)
    assert check_coverage(rows[2], after=2, ends=ends) == {("t.events", 0): 3, ("t.events", 1): 5}
    with pytest.raises(CoverageError):
        check_coverage(rows[2].slice(0, 1), after=2, ends=ends)


def written(tmp_path, rows: list[dict]) -> TenantTables:
    tables = TenantTables(tmp_path, "t")
    tables.create(LEDGER)
    for epoch in sorted({row["epoch"] for row in rows}):
        of_epoch = [row for row in rows if row["epoch"] == epoch]
        tables.append(LEDGER, pa.Table.from_pylist(of_epoch, schema=LOG_LEDGER), app_id="test", epoch=epoch)
    return tables


def test_a_ledger_without_its_second_epoch_says_where_answers_stop(tmp_path):
    tables = written(tmp_path, [row for row in ledger_rows([(1, 1), (1, 1), (1, 1)]) if row["epoch"] != 2])
    with pytest.raises(CoverageError, match=r"no epoch 2 but has epoch 3; .* answers stop at epoch 1"):
        read_ledger(tables)
    assert read_ledger(tables, head=1).head == 1


def test_a_missing_data_file_is_an_error_and_not_fewer_rows(tmp_path):
    tables = written(tmp_path, ledger_rows([(1, 1), (1, 1)]))
    sorted((tmp_path / "t/log/ledger").glob("*.parquet"))[0].unlink()
    with pytest.raises(CoverageError, match="is missing"):
        read_ledger(tables)
