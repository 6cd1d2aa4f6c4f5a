"""Pulls that die at any point and are run again: every row of the file counts once, as an event in the log or as a version of an entity."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pytest
import yaml

from millrace.faults import VARIABLE
from millrace.tables.catalogue import EVENTS, REFUSED_ROWS, REJECTED, SOURCE_POSITIONS, entity_table
from millrace.tables.ledger import read_ledger
from tests.tenant import ORDERS, Tenant

pytestmark = [pytest.mark.stack, pytest.mark.spark]
REPOSITORY = Path(__file__).resolve().parents[2]
PULL = ["pull.shaped", "pull.delivered", "pull.noted"]
HEADER = "order,who,total,at\n"
ROWS = "o1,anna,10,2026-05-01T10:00:00Z\no2,ben,5.50,2026-05-01T11:00:00Z\n,anna,1,2026-05-01T12:00:00Z\n,anna,1,2026-05-01T12:00:00Z\no3,,3,2026-05-01T13:00:00Z\no4,ben,much,2026-05-01T14:00:00Z\n"
FILES = {"kind": "files", "glob": "*.csv", "format": "csv", "quiet": "0s", "columns": {"total": "number", "at": "time"}}
MAPPING = {"event": "Order Completed", "message_id": "/order", "user_id": "/who", "timestamp": "/at", "properties": {"revenue": "/total"}}


def declare(root: Path) -> None:
    (root / "definitions").mkdir()
    (root / "in").mkdir()
    (root / "definitions" / "views.yml").write_text(json.dumps(ORDERS), encoding="utf-8")
    shared = FILES | {"path": str(root / "in")}
    sources = {"orders": {"pull": shared | {"events": MAPPING}}, "book": {"pull": shared | {"entity": "orders", "key": ["order"], "changed_at": "at"}}}
    (root / "definitions" / "sources.yml").write_text(yaml.safe_dump(sources), encoding="utf-8")


def job(tenant: Tenant, root: Path, source: str, *, crash_at: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jobs.pull_sources", "--root", str(root), "--tenant", tenant.name, "--kafka", tenant.bootstrap, "--definitions", str(root / "definitions")]
    return subprocess.run([*command, "--source", source], env={**os.environ, VARIABLE: crash_at}, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120)


def test_a_pull_that_dies_anywhere_and_is_run_again_counts_every_row_once(tenant, tmp_path):
    declare(tmp_path)
    (tmp_path / "in" / "a.csv").write_text(HEADER + ROWS)
    for crash_at in PULL:
        assert job(tenant, tmp_path, "orders", crash_at=crash_at).returncode == -9
    assert job(tenant, tmp_path, "orders").returncode == 4
    (tmp_path / "in" / "a.csv").write_text(HEADER + ROWS + "o5,anna,2,2026-05-02T10:00:00Z\n")
    grown = job(tenant, tmp_path, "orders")
    tenant.run()

    counts = json.loads(grown.stdout)
    assert (counts["received"], counts["taken"], counts["unchanged"], counts["reasons"]) == (7, 1, 5, {"wrong_type": 1})
    head = pc.field("epoch") <= read_ledger(tenant.tables).head
    events = tenant.tables.read(EVENTS, where=head & ~pc.field("is_duplicate")).sort_by("event_time").to_pylist()
    assert [(row["source"], json.loads(row["payload"])["properties"]["revenue"]) for row in events] == [("orders", value) for value in (10, 5.5, 1, 1, 2)]
    assert [row["message_id"] for row in events if not row["message_id"].startswith("pull-")] == ["o1", "o2", "o5"]
    assert tenant.orders() == 5
    lost = tenant.tables.read(REJECTED).to_pylist()
    assert {(row["reason"], row["message_id"]) for row in lost} == {("missing_identifier", "o3")}
    assert [row["reason"] for row in tenant.tables.read(REFUSED_ROWS).to_pylist()] == ["wrong_type"]


@pytest.mark.parametrize("crash_at", PULL)
def test_versions_of_entities_are_the_same_whatever_happened_to_the_run(tenant, tmp_path, crash_at):
    declare(tmp_path)
    (tmp_path / "in" / "a.csv").write_text(HEADER + ROWS)
    assert job(tenant, tmp_path, "book", crash_at=crash_at).returncode == -9
    again = job(tenant, tmp_path, "book")

    assert again.returncode == (4 if crash_at == "pull.noted" else 0), again.stderr
    rows = tenant.tables.read(entity_table("orders")).sort_by("key").to_pylist()
    assert [(row["key"], row["is_current"]) for row in rows] == [("o1", True), ("o2", True), ("o3", True)]
    assert sorted(row["reason"] for row in tenant.tables.read(REFUSED_ROWS).to_pylist()) == ["missing_key", "missing_key", "wrong_type"]
    assert tenant.tables.read(SOURCE_POSITIONS).num_rows == 1
