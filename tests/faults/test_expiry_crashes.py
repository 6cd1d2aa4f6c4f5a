"""An expiry that dies anywhere and is run again: everything that is over is gone, counted once, and the tables are those of a run that lived."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

from millrace.definitions import load_definitions
from millrace.faults import CRASH_POINTS, VARIABLE
from millrace.tables.catalogue import EVENTS, EXPIRED_ROWS, REFUSED_ROWS, entity_table
from millrace.tables.manifest import latest_manifest
from tests.laws.expiring import MARKER, Tenant, comparable, files_with
from tests.laws.histories import DAY, START
from tests.laws.oracle import Record

pytestmark = [pytest.mark.spark]
REPOSITORY = Path(__file__).resolve().parents[2]
EXPIRY = [name for name in CRASH_POINTS if name.startswith("expiry.")]
PULL = {"kind": "files", "path": "in", "glob": "*.csv", "format": "csv", "entity": "audiences", "key": ["id"]}
SOURCES = {"partner": {"party": "third", "retention": "30d", "pull": PULL}, "shop": {}}
VIEWS = {"person": {"key": "node", "traits": {"orders": {"op": "count"}, "heard": {"op": "last", "value": "properties.heard", "party": "third"}}}}


def event(n: int, source: str, heard: str) -> Record:
    text = {"type": "track", "event": "Seen", "messageId": f"{source}{n}", "userId": f"u{n % 2}", "properties": {"heard": heard}}
    return Record(json.dumps(text).encode(), n % 2, n // 2, START + n * DAY, source, 1 + n // 4)


def tenant_of(root: Path) -> Tenant:
    (root / "definitions").mkdir()
    (root / "definitions" / "views.yml").write_text(yaml.safe_dump(VIEWS), encoding="utf-8")
    (root / "definitions" / "sources.yml").write_text(yaml.safe_dump(SOURCES), encoding="utf-8")
    tenant = Tenant(root, load_definitions(root / "definitions"))
    tenant.write([event(n, ("shop", "partner")[n // 2 % 2], MARKER if n // 2 % 2 else "plain") for n in range(8)])
    tenant.build()
    long_ago = datetime(2026, 3, 1, tzinfo=UTC)
    version = {"key": "1", "attributes": MARKER, "valid_from": long_ago, "is_current": True, "deleted": False, "source": "partner", "run_id": "r", "change_id": "c", "sequence": 1, "place": 1}
    tenant.tables.add(entity_table("audiences"), pa.Table.from_pylist([version, version | {"source": "crm", "attributes": "ours"}], schema=entity_table("audiences").schema))
    refused = {"row_id": "1", "source": "partner", "part": "a.csv", "reason": "wrong_type", "original": MARKER, "as_of": long_ago, "rejected_at": long_ago, "run_id": "r"}
    tenant.tables.add(REFUSED_ROWS, pa.Table.from_pylist([refused], schema=REFUSED_ROWS.schema))
    return tenant


def job(root: Path, *more: str, crash_at: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jobs.expire_sources", "--root", str(root), "--tenant", "t", "--definitions", str(root / "definitions"), "--set", "batch.keep_files=0s", *more]
    return subprocess.run(command, env={**os.environ, VARIABLE: crash_at}, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=300)


def test_an_expiry_that_dies_anywhere_and_is_run_again_expires_everything_once(tmp_path: Path) -> None:
    tenant = tenant_of(tmp_path)
    dry = job(tmp_path, "--dry-run")
    shown = {(line["table"], line["rows"]) for line in map(json.loads, dry.stdout.splitlines())}
    assert dry.returncode == 0 and shown == {("log/events", 4), ("entities/audiences", 1), ("ops/source_rejected", 1)}, dry.stderr
    assert tenant.tables.open(EXPIRED_ROWS) is None
    for crash_at in EXPIRY:
        assert job(tmp_path, crash_at=crash_at).returncode == -9, crash_at
    ended = job(tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert sorted((row["table"], row["rows"]) for row in tenant.tables.read(EXPIRED_ROWS).select(["table", "rows"]).to_pylist()) == [
        ("entities/audiences", 1), *[("log/events", 1)] * 4, ("ops/source_rejected", 1),
    ]  # fmt: skip
    assert [row["payload"] is None for row in tenant.tables.read(EVENTS).sort_by("received_at").to_pylist()] == [False, False, True, True] * 2
    assert tenant.tables.read(entity_table("audiences"))["attributes"].to_pylist() == ["ours"]
    assert files_with(tmp_path / "t", MARKER) == []
    lived = latest_manifest(tenant.tables)
    full = tenant.build(full=True)
    assert lived is not None and lived.manifest_id == 2
    for name in ("batch/person", "batch/edges", "batch/nodes"):
        assert comparable(tenant.tables.read(name, version=full.tables[name])) == comparable(tenant.tables.read(name, version=lived.tables[name]))
    assert job(tmp_path).returncode == 4
