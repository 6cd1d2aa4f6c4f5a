"""The tracking plan at the collector: blocked with the field named, or accepted with the verdict on the record, the same that the standardisation finds."""

import json

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from millrace.definitions import Definitions
from millrace.events.standard import Standardizer
from millrace.tracking_plan.records import PlanRules
from serving.collector.app import build_app
from tests.laws.oracle import Record
from tests.millrace.records import NOW, as_table

RULES = {"properties": {"properties": {"type": "object", "required": ["revenue"], "properties": {"revenue": {"type": "number"}}}}}
PLAN = [{"event": "Order Completed", "rules": RULES}, {"type": "identify", "rules": {"required": ["traits"]}}]
DEFINITIONS = Definitions.model_validate({"views": {}, "tracking_plan": PLAN, "sources": {"shop": {"mode": "block"}, "blog": {"mode": "quarantine"}}})


@pytest.fixture
def send(producer, keys):
    with TestClient(build_app(producer, keys, definitions=DEFINITIONS), raise_server_exceptions=False) as client:

        def post(call, content, source="http"):
            return client.post(f"/v1/{call}", json=content, auth=(keys.write_keys([source])[source], ""))

        post.metrics = lambda: client.get("/metrics").text
        yield post


def order(revenue: object, **more: object) -> dict[str, object]:
    return {"type": "track", "userId": "u", "event": "Order Completed", "messageId": "m", "properties": {"revenue": revenue}} | more


def standard(producer, source: str) -> list[dict[str, object]]:
    """What becomes of the records behind the collector."""
    records = as_table([Record(value, 0, number, NOW, source) for number, (_, value) in enumerate(producer.records)])
    stamped = records.append_column("stamp", pa.array([stamp.decode() for stamp in producer.stamps]))
    without = records.append_column("stamp", pa.nulls(len(records), pa.string()))
    of_another = records.append_column("stamp", pa.array(["0" * 16] * len(records)))
    found = [Standardizer([], b"s", rules=PlanRules.of(DEFINITIONS)).standardize(each).drop_columns(["stamp"]) for each in (stamped, without, of_another)]
    assert found[0].equals(found[1]) and found[0].equals(found[2])
    columns = [name for name in ("reason", "violations") if name in found[0].column_names]
    return found[0].select(columns).to_pylist()


def test_a_source_that_blocks_refuses_the_request_and_names_the_field(send, producer):
    answer = send("track", order("12.50"), "shop")
    assert (answer.status_code, answer.json()["error"], answer.json()["field"]) == (400, "plan_violation", "properties.revenue")
    assert "12.50" not in answer.text
    answer = send("batch", {"batch": [order(1), order(2, properties={})]}, "shop")
    assert answer.json()["field"] == "batch[1].properties.revenue"
    assert "rule 'required' of the tracking plan of Order Completed" in answer.json()["message"]
    assert producer.records == []
    assert send("batch", {"batch": [order(1), order(2, event="Other", properties={})]}, "shop").status_code == 200


@pytest.mark.parametrize(("source", "reason"), [("blog", "plan_violation"), ("http", None)])
def test_other_sources_send_it_on_with_the_verdict_on_it(send, producer, source, reason):
    assert send("batch", {"batch": [order(1), order("1"), {"type": "identify", "userId": "u"}, order("x", event="Other")]}, source).status_code == 200
    sound, wrong, identify, other = standard(producer, source)
    assert (sound, other) == ({"reason": None, "violations": None},) * 2
    assert wrong == {"reason": reason, "violations": [{"field": "properties.revenue", "rule": "type"}]}
    assert identify == {"reason": reason, "violations": [{"field": "traits", "rule": "required"}]}


def test_a_blocked_record_that_reaches_the_topic_another_way_goes_to_quarantine(producer):
    producer.records = [("", json.dumps(order("1")).encode())]
    producer.stamps = [b""]
    assert standard(producer, "shop") == [{"reason": "plan_violation", "violations": [{"field": "properties.revenue", "rule": "type"}]}]


def test_violations_are_counted_by_names_of_the_plan(send):
    send("batch", {"batch": [order("1"), order("2"), {"type": "identify", "userId": "u"}]})
    send("track", order("1"), "shop")
    text = send.metrics()
    assert 'collector_plan_violations_total{event="Order Completed",field="properties.revenue",rule="type",source="http"} 2.0' in text
    assert 'collector_plan_violations_total{event="Order Completed",field="properties.revenue",rule="type",source="shop"} 1.0' in text
    assert 'event="identify calls",field="traits",rule="required",source="http"} 1.0' in text


def test_without_a_plan_nothing_is_written_on_records(producer, keys):
    with TestClient(build_app(producer, keys)) as client:
        assert client.post("/v1/track", json=order("x"), auth=("wk_test", "")).status_code == 200
    assert (len(producer.records), producer.stamps) == (1, [])
