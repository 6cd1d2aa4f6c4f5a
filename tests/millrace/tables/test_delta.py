"""Delta tables without a JVM: an epoch is appended exactly once, versions stay readable, holes are errors."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from millrace.errors import CoverageError
from millrace.tables.catalogue import Table
from millrace.tables.delta import TenantTables, conform

ONE = Table("speed/edges", pa.schema([("epoch", pa.int64()), ("word", pa.string())]), ("epoch",), hot=True)


@pytest.fixture
def tables(tmp_path: Path) -> TenantTables:
    found = TenantTables(tmp_path, "t")
    found.create(ONE)
    return found


def rows(epoch: int, *words: str) -> pa.Table:
    return pa.table({"epoch": pa.array([epoch] * len(words), pa.int64()), "word": pa.array(words, pa.string())})


def words(tables: TenantTables, **kept) -> list[str]:
    return sorted(tables.read(ONE, **kept)["word"].to_pylist())


def test_an_epoch_that_runs_again_writes_nothing_twice(tables):
    assert tables.append(ONE, rows(1, "a"), app_id="g/x", epoch=1)
    assert not tables.append(ONE, rows(1, "a"), app_id="g/x", epoch=1)
    assert words(tables) == ["a"]


def test_an_epoch_of_no_rows_is_remembered_too(tables):
    assert tables.append(ONE, rows(1), app_id="g/x", epoch=1)
    assert not tables.append(ONE, rows(1, "late"), app_id="g/x", epoch=1)
    assert words(tables) == []


def test_an_older_epoch_is_not_written_after_a_newer_one(tables):
    tables.append(ONE, rows(5, "e"), app_id="g/x", epoch=5)
    assert not tables.append(ONE, rows(4, "d"), app_id="g/x", epoch=4)


def test_another_generation_counts_its_own_epochs(tables):
    tables.append(ONE, rows(1, "a"), app_id="g/x", epoch=1)
    assert tables.append(ONE, rows(1, "b"), app_id="h/x", epoch=1)
    assert words(tables) == ["a", "b"]


def test_the_epoch_survives_checkpoints_compaction_and_vacuum(tables):
    for epoch in range(1, 120):
        tables.append(ONE, rows(epoch, str(epoch)), app_id="g/x", epoch=epoch)
    found = DeltaTable(tables.path(ONE))
    found.optimize.compact()
    found.create_checkpoint()
    found.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    assert not tables.append(ONE, rows(119, "again"), app_id="g/x", epoch=119)
    assert len(words(tables)) == 119


def test_a_replaced_table_keeps_its_older_version(tables):
    first = tables.replace(ONE, rows(1, "a", "b"))
    second = tables.replace(ONE, rows(2, "c"))
    assert (words(tables, version=first), words(tables, version=second), words(tables)) == (["a", "b"], ["c"], ["c"])


def test_rows_and_columns_can_be_chosen(tables):
    tables.append(ONE, pa.concat_tables([rows(1, "a"), rows(2, "b")]), app_id="g", epoch=2)
    assert tables.read(ONE, columns=["word"], where=pc.field("epoch") > 1).to_pydict() == {"word": ["b"]}


def test_a_table_that_is_not_there_has_no_rows_and_one_asked_for_by_name_is_an_error(tmp_path):
    tables = TenantTables(tmp_path, "nobody")
    assert tables.read(ONE).num_rows == 0
    assert tables.open(ONE) is None
    with pytest.raises(CoverageError, match="does not exist"):
        tables.read("speed/edges")


def test_a_missing_data_file_is_an_error_and_not_fewer_rows(tables):
    tables.append(ONE, rows(1, "a"), app_id="g", epoch=1)
    tables.append(ONE, rows(2, "b"), app_id="g", epoch=2)
    next(Path(tables.path(ONE)).glob("*.parquet")).unlink()
    with pytest.raises(CoverageError, match="is missing"):
        tables.read(ONE)


def test_a_column_the_catalogue_gained_reads_as_null_in_old_rows(tables):
    tables.append(ONE, rows(1, "a"), app_id="g", epoch=1)
    wider = Table(ONE.name, ONE.schema.append(pa.field("more", pa.int64())), ONE.statistics, hot=True)
    tables.create(wider)
    tables.append(wider, rows(2, "b").append_column("more", pa.array([7], pa.int64())), app_id="g", epoch=2)
    assert sorted(map(str, tables.read(wider)["more"].to_pylist())) == ["7", "None"]


def test_rows_get_the_columns_order_and_types_of_the_schema():
    found = conform(pa.table({"word": ["a"], "other": [1]}), ONE.schema)
    assert found.schema == ONE.schema
    assert found.to_pylist() == [{"epoch": None, "word": "a"}]


def test_no_personal_column_has_statistics_in_the_delta_log(tables):
    from millrace.tables.catalogue import BATCH_EDGES, BATCH_NODES, EVENTS, REJECTED, SPEED_EDGES_TABLE

    personal = {"payload", "node", "identifiers", "message_id", "a", "b", "hint", "hint_a", "hint_b", "digest", "dedup_key"}
    for table in (EVENTS, REJECTED, SPEED_EDGES_TABLE, BATCH_EDGES, BATCH_NODES):
        assert not personal & set(table.statistics)
    tables.append(ONE, rows(1, "ann@example.com"), app_id="g", epoch=1)
    logs = "".join(path.read_text(encoding="utf-8") for path in Path(tables.path(ONE), "_delta_log").glob("*.json"))
    assert "ann@example.com" not in logs
