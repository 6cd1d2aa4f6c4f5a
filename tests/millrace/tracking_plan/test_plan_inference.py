"""Proposals for a tracking plan: they load as definitions, accept what they were made from, and say nothing of anybody's values."""

import json

import pyarrow as pa

from jobs.infer_plan import main
from millrace.definitions import load_definitions
from millrace.tables.catalogue import EVENTS, LEDGER
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import Under, ledger_rows
from millrace.tracking_plan.inference import FEWEST, file_names, proposed
from millrace.tracking_plan.verdicts import Judge

ORDERS = [
    {"type": "track", "event": "Order Completed", "properties": {"revenue": number if number % 2 else number + 0.5, "products": [{"id": str(number)}], **({"coupon": "X"} if number % 3 else {})}}
    for number in range(FEWEST)
]  # fmt: skip
OTHERS = [
    {"type": "identify", "traits": {"email": "anna@example.org", "age": None}}, {"type": "track", "event": "order completed!"}, {"type": "page", "name": "Home"},
    {"type": "track", "event": "By Id", "properties": {f"id-{number}": number for number in range(300)}},
]  # fmt: skip
MESSAGES = ORDERS + OTHERS


def test_a_proposal_says_types_and_what_was_always_there():
    body = proposed(ORDERS)["track", "Order Completed"]["rules"]["properties"]["properties"]
    assert body["properties"]["revenue"] == {"type": "number"}
    assert body["properties"]["coupon"] == {"type": "string"}
    assert body["required"] == ["products", "revenue"]
    assert body["properties"]["products"]["items"]["required"] == ["id"]
    assert "required" not in proposed(ORDERS[1:])["track", "Order Completed"]["rules"]["properties"]["properties"]


def test_nothing_of_anybody_is_in_a_proposal_and_keys_that_are_ids_are_not_listed():
    text = json.dumps([*proposed(MESSAGES).values()])
    assert "anna" not in text
    assert "id-7" not in text


def test_file_names_of_events_that_differ_by_signs_alone_are_numbered():
    assert file_names([("track", "Order Completed"), ("track", "order completed!"), ("page", None), ("track", "注文")]) == [
        "order_completed.1.json", "order_completed_2.1.json", "page.1.json", "event.1.json",
    ]  # fmt: skip


def test_the_job_writes_files_that_load_and_accept_what_the_log_holds(tmp_path):
    tables = TenantTables(tmp_path / "data", "t")
    for table in (EVENTS, LEDGER):
        tables.create(table)
    payloads = [*map(json.dumps, MESSAGES), '{"type":"track","event":"Huge","properties":{"n":1e999}}']
    tables.append(EVENTS, pa.table({"epoch": pa.array([1] * len(payloads)), "payload": payloads}), app_id="a", epoch=1)
    tables.append(LEDGER, ledger_rows(1, {("t.events", 0): (0, len(payloads))}, under=Under("h")), app_id="a", epoch=1)
    definitions = tmp_path / "definitions"
    definitions.mkdir()
    (definitions / "views.yml").write_text("person: {key: node, traits: {orders: {op: count}}}", encoding="utf-8")

    assert main(["--root", str(tmp_path / "data"), "--tenant", "t", "--out", str(definitions / "tracking_plan")]) == 0
    found = load_definitions(definitions)
    judge = Judge(found.tracking_plan, found.plan_hash)
    assert len(found.tracking_plan) == 5
    assert [judge.violations(json.dumps(one).encode(), one["type"], one.get("event")) for one in MESSAGES] == [()] * len(MESSAGES)
    assert judge.violations(json.dumps({**ORDERS[0], "properties": {"revenue": "1"}}).encode(), "track", "Order Completed") != ()


def test_an_empty_log_is_nothing_to_do(tmp_path):
    assert main(["--root", str(tmp_path), "--tenant", "t", "--out", str(tmp_path / "out")]) == 4
