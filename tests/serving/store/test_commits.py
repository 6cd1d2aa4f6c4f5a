"""Following a table's log by its files."""

from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from millrace.errors import CoverageError
from millrace.tables.catalogue import Table
from millrace.tables.delta import TenantTables
from serving.store.commits import CommitLog
from serving.store.tail import EpochTail

NUMBERS = Table("numbers", pa.schema([("epoch", pa.int64()), ("name", pa.string())]), ("epoch",))


@pytest.fixture
def tables(tmp_path: Path) -> TenantTables:
    return TenantTables(tmp_path, "t")


def write(tables: TenantTables, *epochs: int) -> None:
    tables.add(NUMBERS, pa.table({"epoch": list(epochs), "name": [f"n{epoch}" for epoch in epochs]}))


def epochs(rows: pa.Table) -> list[int]:
    return sorted(rows["epoch"].to_pylist())


def test_a_log_is_followed_from_before_its_table_exists(tables: TenantTables) -> None:
    log = CommitLog(tables, NUMBERS, column="epoch")
    assert (log.snapshot(), log.poll()) == ([], [])
    write(tables, 1, 3)
    commits = log.poll()
    assert [(file.first, file.last) for commit in commits for file in commit.added] == [(1, 3)]
    assert log.poll() == []


def test_following_continues_after_the_snapshot(tables: TenantTables) -> None:
    write(tables, 1)
    log = CommitLog(tables, NUMBERS, column="epoch")
    assert [(file.first, file.last) for file in log.snapshot()] == [(1, 1)]
    write(tables, 2)
    (commit,) = log.poll()
    assert log.read(commit.added[0]).to_pylist() == [{"epoch": 2, "name": "n2"}]


def test_a_commit_that_is_half_written_is_read_when_it_is_whole(tables: TenantTables) -> None:
    log = CommitLog(tables, NUMBERS, column="epoch")
    write(tables, 1)
    path = Path(tables.path(NUMBERS)) / "_delta_log" / "00000000000000000001.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 20])
    assert [commit.version for commit in log.poll()] == [0]
    path.write_bytes(whole)
    assert [commit.version for commit in log.poll()] == [1]


def test_a_missing_data_file_is_a_coverage_error(tables: TenantTables) -> None:
    log = CommitLog(tables, NUMBERS, column="epoch")
    write(tables, 1)
    file = log.poll()[-1].added[0]
    (Path(tables.path(NUMBERS)) / file.path).unlink()
    with pytest.raises(CoverageError, match="a data file of numbers is missing"):
        log.read(file)


def test_a_column_the_file_does_not_have_is_null(tables: TenantTables) -> None:
    write(tables, 1)
    wider = Table("numbers", pa.schema([*NUMBERS.schema, ("more", pa.int64())]), ("epoch",))
    log = CommitLog(tables, wider, column="epoch")
    assert log.read(log.snapshot()[0])["more"].to_pylist() == [None]


def test_rows_are_taken_once_and_in_step_with_the_head(tables: TenantTables) -> None:
    tail = EpochTail(tables, NUMBERS, after=1)
    write(tables, 1, 2)
    write(tables, 3)
    tail.refresh()
    assert epochs(tail.rows(2)) == [2]
    assert epochs(tail.rows(2)) == [2]
    tail.taken(2)
    assert (epochs(tail.rows(2)), epochs(tail.rows(3))) == ([], [3])


def test_of_a_file_that_holds_more_only_the_epochs_asked_for_are_taken(tables: TenantTables) -> None:
    tail = EpochTail(tables, NUMBERS, after=1)
    write(tables, 1, 2, 3, 4)
    tail.refresh()
    assert epochs(tail.rows(3)) == [2, 3]
    tail.taken(3)
    assert epochs(tail.rows(9)) == [4]


def test_a_compaction_and_a_trim_bring_nothing_back(tables: TenantTables) -> None:
    tail = EpochTail(tables, NUMBERS, after=0)
    for epoch in (1, 2, 3):
        write(tables, epoch)
    tail.refresh()
    tail.taken(2)
    table = DeltaTable(tables.path(NUMBERS))
    table.optimize.compact()
    table.delete("epoch <= 1")
    tail.refresh()
    assert epochs(tail.rows(3)) == [3]
    tail.taken(3)
    assert epochs(tail.rows(9)) == []
    assert epochs(EpochTail(tables, NUMBERS, after=1).rows(9)) == [2, 3]


def test_files_without_statistics_are_measured(tables: TenantTables) -> None:
    tables.create(NUMBERS)
    write_deltalake(
        tables.path(NUMBERS), pa.table({"epoch": [4, 5], "name": ["a", "b"]}), mode="append", configuration={"delta.dataSkippingNumIndexedCols": "0"}
    )
    log = next((Path(tables.path(NUMBERS)) / "_delta_log").glob("*1.json"))
    log.write_text("\n".join(line for line in log.read_text().replace('\\"epoch\\"', '\\"other\\"').splitlines()), encoding="utf-8")
    tail = EpochTail(tables, NUMBERS, after=4)
    assert epochs(tail.rows(9)) == [5]
    tail.taken(5)
    assert epochs(tail.rows(9)) == []
