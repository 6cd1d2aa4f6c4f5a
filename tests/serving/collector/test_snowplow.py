"""Snowplow's tracker protocol: both endpoints give the same message, whoever it was and whatever was sent with it is in the record, the original beside it."""

import base64
import json
from typing import Any
from urllib.parse import urlencode

import pytest

EVENT = {"e": "se", "se_ca": "shop", "se_ac": "add", "se_va": "2.5", "uid": "anna", "duid": "device", "eid": "e-1", "dtm": "1772359200123", "stm": "1772359200999", "aid": "wk_test", "p": "srv", "tv": "py-1.1.0"}
SCHEMA = "iglu:com.acme/order_completed/jsonschema/1-0-0"
TP2 = "/com.snowplowanalytics.snowplow/tp2"


def described(data: object, schema: str = SCHEMA) -> dict[str, object]:
    return {"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0", "data": {"schema": schema, "data": data}}


def contexts(*entities: dict[str, Any]) -> dict[str, object]:
    return {"schema": "iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/1-0-1", "data": list(entities)}


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.fixture
def send(stranger, producer):
    """Posts events and returns the messages that came of them."""

    def send(*events: dict[str, str], status: int = 200) -> Any:
        answer = stranger.post(TP2, json={"schema": "iglu:…/payload_data/jsonschema/1-0-4", "data": list(events)})
        assert answer.status_code == status, answer.text
        return [json.loads(value) for _, value in producer.records] if status == 200 else answer.json()

    return send


def test_a_structured_event_is_a_track_call_with_its_original(send):
    (message,) = send(EVENT)

    assert message.pop("original") == {"dialect": "snowplow", "event": EVENT}
    assert message.pop("context") == {"library": {"name": "snowplow", "version": "py-1.1.0"}, "platform": "srv"}
    assert message == {
        "type": "track", "event": "add", "messageId": "e-1", "userId": "anna", "anonymousId": "device", "timestamp": "2026-03-01T10:00:00.123Z",
        "sentAt": "2026-03-01T10:00:00.999Z", "properties": {"category": "shop", "action": "add", "value": 2.5},
    }  # fmt: skip


def test_a_query_says_the_same_as_a_payload(send, stranger, producer):
    answer = stranger.get(f"/i?{urlencode(EVENT)}")
    assert (answer.status_code, answer.headers["content-type"], answer.content[:6]) == (200, "image/gif", b"GIF89a")

    by_query, by_payload = send(EVENT)
    assert by_query.pop("original") == {"dialect": "snowplow", "event": urlencode(EVENT)}
    assert by_payload.pop("original") and by_query == by_payload


@pytest.mark.parametrize("fields", [{"ue_pr": json.dumps(described({"revenue": 12.50}))}, {"ue_px": encoded(described({"revenue": 12.50}))}])
def test_a_self_describing_event_is_named_by_its_schema_plain_or_base64(fields, send):
    (message,) = send({**EVENT, "e": "ue", "ttm": "1772359200456", **fields})

    assert (message["type"], message["event"], message["properties"]) == ("track", "order_completed", {"revenue": 12.5})
    assert (message["context"]["schema"], message["timestamp"]) == (SCHEMA, "2026-03-01T10:00:00.456Z")


@pytest.mark.parametrize("name", ["co", "cx"])
def test_contexts_are_lists_under_the_names_of_their_schemas(name, send):
    entities = contexts(*({"schema": f"iglu:com.acme/product/jsonschema/2-0-{n}", "data": {"sku": n}} for n in (0, 1)), {"schema": "iglu:org.w3/page/jsonschema/1-0-0", "data": {}})
    (message,) = send({**EVENT, name: encoded(entities) if name == "cx" else json.dumps(entities)})

    assert message["context"]["contexts_com_acme_product_2"] == [{"sku": 0}, {"sku": 1}]
    assert message["context"]["contexts_org_w3_page_1"] == [{}]


def test_views_are_page_and_screen_calls(send):
    page, screen = send(
        {**EVENT, "e": "pv", "url": "https://shop.example/a?b=1", "page": "A", "refr": "https://r.example", "res": "100x200"},
        {**EVENT, "e": "ue", "ue_pr": json.dumps(described({"name": "Main"}, "iglu:com.snowplowanalytics.mobile/screen_view/jsonschema/1-0-0"))},
    )

    assert (page["type"], page["name"]) == ("page", "A")
    assert page["properties"] == {"url": "https://shop.example/a?b=1", "title": "A", "referrer": "https://r.example", "path": "/a", "search": "?b=1"}
    assert page["context"]["screen"] == {"width": 100, "height": 200}
    assert (screen["type"], screen["name"], screen["properties"]) == ("screen", "Main", {"name": "Main"})


def test_the_old_order_is_segments_order_completed(send):
    (message,) = send({"e": "tr", "tr_id": "o-1", "tr_tt": "12.50", "tr_cu": "EUR", "uid": "anna", "aid": "wk_test"})

    assert (message["event"], message["properties"]) == ("Order Completed", {"order_id": "o-1", "revenue": 12.5, "currency": "EUR"})


def test_who_names_nobody_goes_by_a_cookie_that_lasts(stranger, producer):
    nameless = {"e": "pp", "aid": "wk_test"}
    first = stranger.get(f"/i?{urlencode(nameless)}")
    again = stranger.get(f"/i?{urlencode(nameless)}")

    ids = {json.loads(value)["anonymousId"] for _, value in producer.records}
    assert ids == {first.cookies["millrace_id"]}
    assert again.status_code == 200
    assert "HttpOnly; SameSite=Lax" in first.headers["set-cookie"] and "Secure" not in first.headers["set-cookie"]


def test_the_key_may_stand_before_the_path_and_leaves_the_app_id_free(stranger, producer):
    assert stranger.get(f"/wk_test/i?{urlencode({**EVENT, 'aid': 'shop'})}").status_code == 200
    assert stranger.post(f"/wk_test{TP2}", json={"data": [{**EVENT, "aid": "shop"}]}).status_code == 200
    assert stranger.get(f"/wk_other/i?{urlencode(EVENT)}").status_code == 401
    assert stranger.get(f"/i?{urlencode({**EVENT, 'aid': 'shop'})}").status_code == 401
    assert len(producer.records) == 2


@pytest.mark.parametrize(
    ("event", "error", "field"),
    [
        ({**EVENT, "e": "xx"}, "unknown_type", "data[1].e"),
        ({**EVENT, "se_ac": " "}, "missing_event_name", "data[1].se_ac"),
        ({**EVENT, "uid": "x" * 1025}, "identifier_too_long", "data[1].uid"),
        ({**EVENT, "e": "ue"}, "missing_field", "data[1].ue_pr"),
        ({**EVENT, "e": "ue", "ue_px": "°"}, "malformed_base64", "data[1].ue_px"),
        ({**EVENT, "e": "ue", "ue_pr": "{"}, "malformed_json", "data[1].ue_pr"),
        ({**EVENT, "e": "ue", "ue_pr": json.dumps(described({}, "no schema"))}, "unknown_schema", "data[1].ue_pr.data.schema"),
        ({**EVENT, "e": "ue", "ue_pr": json.dumps(described(1))}, "wrong_type", "data[1].ue_pr.data.data"),
        ({**EVENT, "co": json.dumps(contexts({"schema": "x", "data": {}}))}, "unknown_schema", "data[1].co.data[0].schema"),
        ({**EVENT, "co": json.dumps({"schema": "x", "data": 1})}, "wrong_type", "data[1].co.data"),
        ({**EVENT, "uid": {}}, "wrong_type", "data[1].uid"),
        ({**EVENT, "se_la": "x" * 33_000}, "event_too_large", "data[1]"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_as_the_tracker_names_it(event, error, field, send, producer):
    said = send(EVENT, event, status=413 if error == "event_too_large" else 400)

    assert (said["error"], said["field"].replace("[...]", "")) == (error, field)
    assert producer.records == []
