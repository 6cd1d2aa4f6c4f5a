"""The connector of files: what it reads of each format, what it refuses as a row and what as a file, which files it leaves alone."""

import gzip
import os
import time
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batch.sources.connector import SourceUnavailable
from batch.sources.files import Files
from batch.sources.shaping import Shaper
from millrace.events.pulls import FilesPull
from millrace.times import milliseconds_text


def pull(folder, **more):
    return FilesPull(kind="files", path=str(folder), entity="things", key=("id",), **{"quiet": "0s", "format": "csv", **more})


def read(declared, noted=None):
    """Rows as they are shaped, and reasons of those that are refused."""
    shaper, rows, reasons = Shaper(declared, {}), [], []
    for batch in Files(declared).batches(noted or {}):
        good, bad = shaper.shape(batch)
        rows += [row.values for row in good]
        reasons += [one.reason for one in bad]
    return rows, reasons


def test_csv_as_offices_of_europe_write_it(tmp_path):
    (tmp_path / "a.csv").write_bytes("id;größe;am\n1;1.234,5;31.12.2025\n2;-0,25;\n3;1.5;01.01.2026\n".encode("cp1252"))
    columns = {"größe": "number", "am": {"type": "date", "format": "%d.%m.%Y"}}
    rows, reasons = read(pull(tmp_path, delimiter=";", encoding="cp1252", decimal=",", columns=columns))
    assert rows == [{"id": "1", "größe": Decimal("1234.5"), "am": "2025-12-31"}, {"id": "2", "größe": Decimal("-0.25")}]
    assert reasons == ["wrong_type"]


def test_rows_that_are_none_are_refused_one_by_one(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbfid,name\n1,"with, comma\nand line"\n2\n3,\xff\n4,"a"b\n\n5,e\n')
    rows, reasons = read(pull(tmp_path))
    assert rows == [{"id": "1", "name": "with, comma\nand line"}, {"id": "5", "name": "e"}]
    assert sorted(reasons) == ["malformed_row", "wrong_encoding", "wrong_number_of_fields"]


@pytest.mark.parametrize(("content", "sentence"), [(b'id,name\n1,"never\n2,b\n', "a quote that opens in line 2 is never closed"), (b"id,id\n1,2\n", "names a column twice: id")])
def test_a_file_that_cannot_be_cut_into_rows_is_refused_as_a_whole(tmp_path, content, sentence):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(SourceUnavailable, match=sentence):
        read(pull(tmp_path))


def test_json_lines_keep_every_number_and_tell_an_absent_key_from_null(tmp_path):
    text = b'{"id":"1","n":0.1234567890123456789,"deep":{"b":[1,2.50]},"t":null}\n[1]\n{"id":"2"}\n{"id":"3","t":"x"}\n{}\n\xff\n'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text))
    rows, reasons = read(pull(tmp_path, format="jsonl", columns={"t": "text"}))
    assert rows == [{"id": "1", "n": Decimal("0.1234567890123456789"), "deep": {"b": [1, Decimal("2.5")]}}, {"id": "3", "t": "x"}]
    assert sorted(reasons) == ["empty_row", "malformed_row", "malformed_row", "missing_column"]


def test_parquet_gives_its_types(tmp_path):
    table = pa.table({"id": ["1", "2"], "n": pa.array([Decimal("1.10"), None], pa.decimal128(10, 2)), "f": [0.1, float("nan")], "t": pa.array([0, 1], pa.timestamp("ms"))})
    pq.write_table(table, tmp_path / "a.parquet")
    rows, _ = read(pull(tmp_path, format="parquet", zone="Europe/Berlin"))
    assert rows == [{"id": "1", "n": Decimal("1.1"), "f": Decimal("0.1"), "t": "1969-12-31T23:00:00Z"}, {"id": "2", "t": "1969-12-31T23:00:00.001000Z"}]


def test_a_file_of_another_kind_is_refused_by_name(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    with pytest.raises(SourceUnavailable, match=r"a\.parquet cannot be read as parquet"):
        read(pull(tmp_path, format="parquet"))


def test_files_are_read_by_age_and_only_those_that_match_and_are_not_young(tmp_path):
    for name, age in (("b.csv", 300), ("c.csv", 200), ("sub/a.csv", 400), ("young.csv", 0), ("x.txt", 100)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"id\n{name}\n")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    declared = pull(tmp_path, glob="*.csv", quiet="60s")
    files = Files(declared)
    assert [batch.part for batch in files.batches({})] == ["sub/a.csv", "b.csv", "c.csv"]
    assert files.waiting == 1
    assert [batch.part for batch in Files(pull(tmp_path, glob="sub/*.csv")).batches({})] == ["sub/a.csv"]


def test_a_file_whose_content_is_as_noted_is_not_read_whatever_its_time(tmp_path):
    (tmp_path / "a.csv").write_text("id\n1\n")
    declared = pull(tmp_path)
    (batch,) = Files(declared).batches({})
    os.utime(tmp_path / "a.csv", (1, 1))
    assert read(declared, {"a.csv": batch.position}) == ([], [])
    (tmp_path / "a.csv").write_text("id\n2\n")
    assert read(declared, {"a.csv": batch.position}) == ([{"id": "2"}], [])


def test_a_large_file_comes_in_parts_and_its_position_with_the_last(tmp_path):
    (tmp_path / "a.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(45_000)))
    batches = list(Files(pull(tmp_path)).batches({}))
    assert [(len(one.rows), one.place, one.position is not None) for one in batches] == [(20_000, 0, False), (20_000, 20_000, False), (5_000, 40_000, True)]


def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_run(tmp_path):
    (tmp_path / "a.csv").write_text("id\n" + "".join(f"{number}\n" for number in range(45_000)))
    batches = Files(pull(tmp_path)).batches({})
    next(batches)
    with open(tmp_path / "a.csv", "a") as file:
        file.write("45000\n")
    with pytest.raises(SourceUnavailable, match="changed while it was read"):
        list(batches)


def test_a_folder_may_be_the_url_of_an_object_store(tmp_path):
    (tmp_path / "a.csv").write_text("id\n1\n")
    assert read(pull(tmp_path).model_copy(update={"path": tmp_path.as_uri()})) == ([{"id": "1"}], [])


def test_an_instant_that_cannot_be_stops_no_pull(pulled):
    pulled.put("a.csv", "id,at\n1,1780000000\n2,1e30\n")
    mapping = {"event": "Order Completed", "user_id": "/id", "timestamp": {"at": "/at", "as": "seconds"}}
    pulled.declare(shop={"format": "csv", "columns": {"at": "number"}, "events": mapping})
    line = pulled.pull("--dry-run")
    assert (pulled.code, line["taken"], line["rejected"]) == (0, 2, 0)
    assert milliseconds_text(1_780_000_000_000) == "2026-05-28T20:26:40.000Z"
    assert milliseconds_text(Decimal("1e33")) == "1E+33"
