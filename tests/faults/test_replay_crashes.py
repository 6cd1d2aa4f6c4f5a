"""Replays of rejected records: each counts once, whenever the job dies and however often it is run; only what would be accepted is sent."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from millrace.definitions import Definitions
from millrace.faults import VARIABLE
from millrace.tables.catalogue import EVENTS, REJECTED, REPLAYS
from millrace.tables.ledger import read_ledger
from tests.tenant import ORDERS, Tenant, order

pytestmark = [pytest.mark.stack, pytest.mark.spark]
REPOSITORY = Path(__file__).resolve().parents[2]
REPLAY = ["replay.chosen", "replay.sent", "replay.noted"]
RULES = {"properties": {"properties": {"required": ["revenue"], "properties": {"revenue": {"type": "number"}}}}}
PLAN = {"event": "Order Completed", "rules": RULES}
REPAIR = '- {where: {event: Order Completed}, rename: {properties.total: properties.revenue}, convert: {properties.revenue: number}}\n- {decode: latin-1}\n'


def written(tenant: Tenant, root: Path) -> None:
    """The definitions and repairs as the job reads them."""
    folder = root / "definitions" / "tracking_plan"
    folder.mkdir(parents=True)
    (root / "definitions" / "views.yml").write_text(json.dumps(ORDERS), encoding="utf-8")
    (root / "definitions" / "sources.yml").write_text("shop: {mode: quarantine}", encoding="utf-8")
    (folder / "order.json").write_text(json.dumps(PLAN), encoding="utf-8")
    (root / "repair.yml").write_text(REPAIR, encoding="utf-8")
    tenant.definitions = Definitions.model_validate({"views": ORDERS, "sources": {"shop": {"mode": "quarantine"}}, "tracking_plan": [PLAN]})


def job(tenant: Tenant, root: Path, *more: str, where: str = "true", crash_at: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jobs.replay_rejected", "--root", str(root), "--tenant", tenant.name, "--kafka", tenant.bootstrap, "--definitions", str(root / "definitions")]
    environment = {**os.environ, VARIABLE: crash_at}
    return subprocess.run([*command, "--where", where, *more], env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=180)


def counted(tenant: Tenant) -> dict[str, list[Any]]:
    """Events that count, with the values and times they came to."""
    head = pc.field("epoch") <= read_ledger(tenant.tables).head
    rows = tenant.tables.read(EVENTS, where=head & ~pc.field("is_duplicate")).sort_by("message_id").to_pylist()
    assert len({row["dedup_key"] for row in rows}) == len(rows)
    return {row["message_id"]: [json.loads(row["payload"])["properties"].get("revenue"), row["source"], row["event_time"]] for row in rows}


@pytest.mark.parametrize("crash_at", REPLAY)
def test_a_replay_that_dies_and_is_run_again_and_again_counts_every_record_once(tenant, tmp_path, crash_at):
    written(tenant, tmp_path)
    no_id = {key: value for key, value in order("x", revenue="4").items() if key != "messageId"}
    no_time = {key: value for key, value in order("t", revenue="5").items() if key != "timestamp"}
    tenant.send(order("a", revenue=1), order("b", properties={"total": "2.5"}), order("b", properties={"total": "2.5"}), order("c", revenue="no number"), source="shop")
    tenant.send(no_id, no_id, no_time, b'{"type":"track","event":"Caf\xe9","messageId":"d","userId":"u","properties":{}}', b"lost", source="shop")
    tenant.run()
    before = tenant.tables.read(REJECTED).to_pylist()
    assert len(before) == 8

    assert job(tenant, tmp_path, "--repair", str(tmp_path / "repair.yml"), crash_at=crash_at).returncode == -9
    done = [job(tenant, tmp_path, "--repair", str(tmp_path / "repair.yml")) for _ in range(2)]
    tenant.run()
    again = job(tenant, tmp_path, "--repair", str(tmp_path / "repair.yml"))
    tenant.run()

    assert [one.returncode for one in (*done, again)] == [0, 0, 0], done[0].stderr
    sent = [json.loads(one.stdout)["sent"] for one in (*done, again)]
    assert sent == ([0, 0, 0] if crash_at == "replay.noted" else [6, 0, 0])
    found = counted(tenant)
    received = next(row["received_at"] for row in before if b'"t"' in row["payload"])
    assert {name: value[0] for name, value in found.items()} == {"a": 1, "b": 2.5, "d": None, "t": 5, **{name: 4 for name in found if name.startswith("replay-")}}
    assert len(found) == 6
    assert all(source == "shop" for _, source, _ in found.values())
    assert found["t"][2] == received
    replays = tenant.tables.read(REPLAYS).to_pylist()
    assert Counter((row["topic"], row["partition"], row["offset"]) for row in replays).most_common(1)[0][1] == 1
    assert json.loads(again.stdout)["still_rejected"] == {"plan_violation": 1, "malformed_json": 1}
    marked = tenant.tables.read(REJECTED).to_pylist()
    assert Counter(row["replayed_at"] is not None for row in marked) == {True: 6, False: 2}


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(tenant, tmp_path):
    written(tenant, tmp_path)
    tenant.send(order("b", properties={"total": "2.5"}), order("c", revenue="x"), order("d") | {"timestamp": "never"}, source="shop")
    tenant.run()
    head = read_ledger(tenant.tables).head

    dry = job(tenant, tmp_path, "--repair", str(tmp_path / "repair.yml"), "--dry-run", where="source = 'shop' AND reason = 'plan_violation'")
    plain = job(tenant, tmp_path, "--dry-run")
    tenant.run()

    assert json.loads(dry.stdout) == {"matching": 2, "already_replayed": 0, "sent": 1, "repaired": 1, "still_rejected": {"plan_violation": 1}, "dry_run": True}
    assert json.loads(plain.stdout)["still_rejected"] == {"plan_violation": 2, "bad_timestamp": 1}
    assert read_ledger(tenant.tables).head == head
    assert tenant.tables.open(REPLAYS) is None


def test_the_sql_of_the_document_runs_over_the_tables(tenant, tmp_path):
    from importlib.resources import files

    import duckdb

    written(tenant, tmp_path)
    tenant.send(order("a", revenue="1"), b"no", source="shop")
    tenant.send(order("b", revenue="2"), source="blog")
    tenant.run()
    text = (REPOSITORY / "docs" / "rejected.md").read_text(encoding="utf-8").replace("data/default/", f"{tmp_path}/{tenant.name}/")
    connection = duckdb.connect()
    connection.load_extension(str(files("duckdb_extension_delta") / "extensions" / f"v{duckdb.__version__}" / "delta.duckdb_extension"))
    by_reason, by_field, shares = (connection.sql(query).fetchall() for query in re.findall(r"^```sql\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    assert {row[1:4] for row in by_reason} == {("shop", "plan_violation", 1), ("shop", "malformed_json", 1)}
    assert set(by_field) == {("shop", "Order Completed", "properties.revenue", "type", 1), ("blog", "Order Completed", "properties.revenue", "type", 1)}
    assert sorted(shares) == [("blog", 1, 0, 0.0), ("shop", 2, 2, 1.0)]
