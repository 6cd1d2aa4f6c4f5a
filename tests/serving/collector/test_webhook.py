"""Plain webhooks: what sources.yml says of a body is what the message holds; retries keep their id; mappings are checked with everything else."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from millrace.definitions import Definitions, load_definitions
from millrace.errors import ConfigurationError
from serving.collector.app import build_app

SHOP = {
    "event": "Order Completed", "message_id": "/id", "user_id": "/customer/id", "timestamp": {"at": "/created", "as": "seconds"},
    "properties": {"revenue": {"at": "/total", "as": "number"}, "first_sku": "/lines/0/sku", "slash": "/a~1b"},
}  # fmt: skip
BODY = {"id": 17, "customer": {"id": "anna"}, "created": 1772359200, "total": "12.50", "lines": [{"sku": "s-1"}], "a/b": True, "more": "kept"}


@pytest.fixture
def hook(producer, keys):
    """``hook({...}, BODY)``: the answer to a body under a mapping."""

    def send(mapping: dict[str, Any], content: Any, **headers: str) -> Any:
        definitions = Definitions.model_validate({"views": {}, "sources": {"shop": {"webhook": mapping}}})
        with TestClient(build_app(producer, keys, definitions=definitions), raise_server_exceptions=False) as client:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            return client.post(f"/v1/webhook?writeKey={keys.write_keys(['shop'])['shop']}", content=body, headers=headers)

    return send


def messages(producer: Any) -> list[dict[str, Any]]:
    return [json.loads(value) for _, value in producer.records]


def test_a_body_becomes_the_declared_message_and_stays_beside_it(hook, producer):
    assert hook(SHOP, BODY).status_code == 200

    assert messages(producer) == [{
        "type": "track", "event": "Order Completed", "messageId": "17", "userId": "anna", "timestamp": "2026-03-01T10:00:00.000Z",
        "properties": {"revenue": 12.5, "first_sku": "s-1", "slash": True}, "original": {"dialect": "webhook", "event": BODY},
    }]  # fmt: skip
    assert producer.sources == ["shop"]


def test_each_element_of_an_array_is_an_event(hook, producer):
    mapping = {"each": "/events", "type": "identify", "user_id": "/who"}
    assert hook(mapping, {"events": [{"who": "anna"}, {"who": "ben", "plan": "pro"}]}).status_code == 200

    first, second = messages(producer)
    assert (first["userId"], second["userId"], second["traits"]) == ("anna", "ben", {"who": "ben", "plan": "pro"})
    assert first["messageId"] != second["messageId"]


def test_without_an_id_of_its_own_a_retry_keeps_its_id(hook, producer):
    mapping = {"event": "x", "user_id": "/who"}
    for body, headers in ((b'{"who":"a"}', {}), (b'{"who":"a"}', {}), (b'{"who": "a"}', {}), (b'{"who":"b"}', {"webhook-id": "w-1"}), (b'{"who":"b","try":2}', {"webhook-id": "w-1"})):
        assert hook(mapping, body, **headers).status_code == 200

    ids = [message["messageId"] for message in messages(producer)]
    assert ids[0] == ids[1] != ids[2] and ids[3:] == ["w-1", "w-1"]


def test_a_form_is_a_body_too(hook, producer):
    answer = hook({"event": "/what", "user_id": "/who"}, b"what=Called&who=anna", **{"content-type": "application/x-www-form-urlencoded"})

    assert answer.status_code == 200
    assert (messages(producer)[0]["event"], messages(producer)[0]["properties"]) == ("Called", {"what": "Called", "who": "anna"})


@pytest.mark.parametrize(
    ("body", "error", "field"),
    [
        ({**BODY, "total": "much"}, "wrong_type", "/total"),
        ({**BODY, "customer": {}}, "missing_identifier", "customer.id"),
        ({**BODY, "created": "soon"}, "wrong_type", "/created"),
        ([], "missing_identifier", "customer.id"),
        (b"{", "malformed_json", "body"),
    ],
)
def test_what_is_wrong_is_named_by_its_pointer(body, error, field, hook, producer):
    answer = hook(SHOP, body)

    assert (answer.status_code, answer.json()["error"], answer.json()["field"]) == (400, error, field)
    assert producer.records == []


def test_a_source_without_a_mapping_says_what_to_declare(stranger):
    assert "declare how its bodies become events" in stranger.post("/v1/webhook?writeKey=wk_test", json={}).json()["message"]
    assert stranger.post("/v1/webhook", json={}).json()["error"] == "no_webhook"


def test_everything_wrong_with_mappings_is_told_at_once(tmp_path):
    (tmp_path / "views.yml").write_text("person: {key: node, traits: {orders: {event: x, op: count}}}\n", encoding="utf-8")
    (tmp_path / "sources.yml").write_text(
        "a: {webhook: {evnt: x, event: y, user_id: /u}}\nb: {webhook: {event: y}}\nc: {webhook: {type: group, user_id: /u}}\n"
        "d: {webhook: {event: y, user_id: /u~2}}\ne: {webhook: {event: y, user_id: {at: /u, as: date}}}\nf: {do_not_track: ignore}\n", encoding="utf-8",
    )  # fmt: skip
    with pytest.raises(ConfigurationError) as caught:
        load_definitions(tmp_path)
    text = str(caught.value)
    assert "a.webhook.evnt: unknown key (did you mean 'event'?)" in text
    assert "b.webhook: user_id or anonymous_id is needed" in text
    assert "c.webhook: a webhook of type group needs group_id" in text
    assert "d.webhook.user_id.at: found '/u~2'; a JSON pointer is needed" in text
    assert "e.webhook.user_id.as: found 'date'; allowed are text, number, seconds, milliseconds" in text
    assert "f.do_not_track: found 'ignore'; allowed are keep, anonymous, drop" in text
