"""Records of the topic as Spark columns."""

from datetime import datetime

import pytest

from millrace.columns.events import record_columns

pytestmark = pytest.mark.spark
SCHEMA = "value BINARY, topic STRING, partition INT, offset BIGINT, timestamp TIMESTAMP, headers ARRAY<STRUCT<key: STRING, value: BINARY>>"
AT = datetime(2026, 3, 1)


def test_the_source_is_its_first_header_mended_where_it_is_no_utf_8(spark):
    headers = [None, [], [("other", b"x")], [("other", b"x"), ("source", b"http"), ("source", b"second")], [("source", b"\xff shop")], [("source", b"")], [("source", None)]]
    rows = [(bytearray(b"\xff{}"), "t.events", 0, number, AT, found) for number, found in enumerate(headers)]
    found = record_columns(spark.createDataFrame(rows, SCHEMA)).toArrow().sort_by("offset")
    assert found["source"].to_pylist() == ["kafka", "kafka", "kafka", "http", "\ufffd shop", "", "kafka"]
    assert set(found["payload"].to_pylist()) == {b"\xff{}"}
    assert found.column_names == ["partition", "offset", "received_at", "source", "payload"]


def test_the_verdict_of_the_collector_is_a_column_where_it_is_asked_for(spark):
    headers = [None, [("source", b"http")], [("source", b"http"), ("plan", b"0123")], [("plan", b"first")], [("a", b"x"), ("b", b"x"), ("plan", b"last")]]
    rows = [(bytearray(b"{}"), "t.events", 0, number, AT, found) for number, found in enumerate(headers)]
    found = record_columns(spark.createDataFrame(rows, SCHEMA), stamped=True).toArrow().sort_by("offset")
    assert found["stamp"].to_pylist() == [None, None, "0123", "first", "last"]
