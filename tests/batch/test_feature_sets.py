"""Training sets: versions of a Delta table that say what they stand on, written by the job, without an identifier in clear."""

import json
from pathlib import Path

import pyarrow.compute as pc
import pytest
import yaml
from deltalake import DeltaTable

from jobs.snapshot_features import main
from millrace.definitions import load_definitions
from millrace.tables.catalogue import FEATURE_SNAPSHOTS
from millrace.tables.delta import TenantTables
from tests.laws.features import time
from tests.laws.histories import HOUR, START
from tests.laws.logs import write_log
from tests.laws.oracle import Record

pytestmark = pytest.mark.spark
TRAITS = {"orders": {"event": "Order Completed", "op": "count"}, "spend": {"event": "Order Completed", "op": "sum", "value": "properties.revenue"}}


def record(number: int) -> Record:
    message = {"type": "track", "event": "Order Completed", "messageId": f"m{number}", "userId": "u1", "properties": {"revenue": 10}}
    return Record(json.dumps(message).encode(), 0, number, START + number * HOUR, "http", number + 1)


def test_each_run_writes_a_version_with_receipts_and_older_ones_stay(spark, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "views.yml").write_text(yaml.safe_dump({"person": {"key": "node", "traits": TRAITS}}))
    definitions, tables = load_definitions(tmp_path / "conf"), TenantTables(tmp_path / "root", "t")
    write_log(tables, [record(0), record(1)], [START + 1, START + HOUR + 1], definitions)
    row = f"user_id:u1,{time(START + 2).isoformat()},a"
    entities = tmp_path / "entities.csv"
    where = ["--root", str(tmp_path / "root"), "--tenant", "t", "--definitions", str(tmp_path / "conf"), "--name", "churn", "--entities", str(entities)]
    written = []
    for rows, features in (([row, row], "person__orders"), ([row, f"user_id:u1,{time(START + 2 * HOUR).isoformat()},b", f"user_id:u2,{time(START).isoformat()},c"], "person__orders,person__spend")):
        entities.write_text("\n".join(["key,at,label", *rows, ""]))
        assert main([*where, "--features", features]) == 0
        written.append(tables.read(FEATURE_SNAPSHOTS).sort_by("made_at").to_pylist()[-1])
    assert [(one["name"], one["rows"], one["head"], one["definitions_hash"]) for one in written] == [("churn", 2, 2, definitions.hash), ("churn", 3, 2, definitions.hash)]
    first, second = (DeltaTable(tables.path("ml/feature_sets/churn"), version=one["version"]).to_pyarrow_table().sort_by([("label", "ascending")]) for one in written)
    assert first.column_names == ["node", "at", "label", "person__orders", "head", "decisions", "definitions_hash", "snapshot_id"]
    assert first["person__orders"].to_pylist() == [1, 1] and second["person__orders"].to_pylist() == [1, 2, None]
    assert second["head"].to_pylist() == [1, 2, 0] and pc.unique(second["snapshot_id"]).to_pylist() == [written[1]["snapshot_id"]]
    assert json.loads(written[1]["features"]) == ["person__orders", "person__spend"] and "user_id:u1" not in str(second.to_pylist())


def test_a_name_or_an_entity_frame_that_is_wrong_writes_nothing(spark, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "views.yml").write_text(yaml.safe_dump({"person": {"key": "node", "traits": TRAITS}}))
    tables = TenantTables(tmp_path / "root", "t")
    write_log(tables, [record(0)], [START + 1], load_definitions(tmp_path))
    (tmp_path / "entities.csv").write_text("email,when\na,b\n")
    where = ["--root", str(tmp_path / "root"), "--tenant", "t", "--definitions", str(tmp_path), "--entities", str(tmp_path / "entities.csv")]
    said = []
    for name, features in (("Churn", "person__orders"), ("churn", "person__order"), ("churn", "person__orders")):
        assert main([*where, "--name", name, "--features", features]) == 2
        said.append(capsys.readouterr().err)
    assert "lower-case" in said[0] and "did you mean 'person__orders'" in said[1] and "none of the columns key, node, person_id" in said[2] and "no column at" in said[2]
    assert tables.open("ml/feature_sets/churn") is None
