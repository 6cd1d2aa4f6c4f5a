"""What is taken and what reaches the topic: the client's own text, a key by which retries meet, and what a message lacked at its front."""

import json
import uuid

import pytest

from millrace.identity.nodes import node_of

MESSAGE = {"type": "track", "messageId": "m-1", "userId": "anna", "event": "Order Completed"}


def with_(**changes: object) -> dict[str, object]:
    return {**MESSAGE, **changes}


def test_batch_is_answered_with_success_and_published_in_order(post, producer):
    answer = post("batch", {"batch": [with_(messageId="m-1"), with_(messageId="m-2")]})

    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert [json.loads(value)["messageId"] for _, value in producer.records] == ["m-1", "m-2"]


def test_records_come_from_the_source_http(post, producer):
    post("track", MESSAGE)

    assert producer.sources == ["http"]


@pytest.mark.parametrize(
    "text",
    [
        b'{"type":"track","messageId":"m-1","userId":"anna","event":"x"}',
        b'{ "event" : "x",\n\t"messageId":"m-1", "userId":"\\u0061nna", "type":"track", "properties": {"price": 1.50, "big": 12345678901234567890123} }',
        '{"type":"track","messageId":"m-1","userId":"Ånna","event":"köp","properties":{"n":1e5,"n":2}}'.encode(),
    ],
)
def test_value_is_the_text_the_client_sent(text, post, producer):
    post("batch", b'{"batch": [ ' + text + b" ]}")
    post("track", b"\n" + text + b"  ")

    assert [value for _, value in producer.records] == [text, text]


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        ("identify", {"traits": {"plan": "pro"}}),
        ("track", {"event": "x"}),
        ("page", {"name": "Home"}),
        ("screen", {}),
        ("group", {"groupId": "g"}),
        ("alias", {"previousId": "device"}),
    ],
)
def test_single_call_gets_its_type_from_the_path(call, fields, post, producer):
    answer = post(call, {"messageId": "m-1", "userId": "anna", **fields})

    assert answer.status_code == 200
    assert json.loads(producer.records[0][1]) == {"type": call, "messageId": "m-1", "userId": "anna", **fields}


def test_missing_fields_go_in_front_of_the_unchanged_text(post, producer):
    text = b'{ "userId":"anna", "event":"x" }'
    post("track", text)

    value = producer.records[0][1]
    assert value.endswith(text[1:])
    assert value.startswith(b'{"type":"track","messageId":"')
    assert uuid.UUID(json.loads(value)["messageId"]).version == 4


def test_message_without_message_id_gets_one_of_its_own(post, producer):
    nameless = {"type": "track", "userId": "anna", "event": "x"}
    post("batch", {"batch": [nameless, nameless]})

    assert len({json.loads(value)["messageId"] for _, value in producer.records}) == 2


def test_context_and_sent_at_of_a_batch_fill_what_a_message_lacks(post, producer):
    own = with_(context={"ip": "own"}, sentAt="own")
    post("batch", {"sentAt": "shared", "context": {"ip": "shared"}, "batch": [MESSAGE, own]})

    first, second = (json.loads(value) for _, value in producer.records)
    assert (first["context"], first["sentAt"]) == ({"ip": "shared"}, "shared")
    assert (second["context"], second["sentAt"]) == ({"ip": "own"}, "own")


def test_null_context_of_a_message_is_its_own(post, producer):
    post("batch", {"context": {"ip": "shared"}, "batch": [with_(context=None)]})

    assert json.loads(producer.records[0][1]) == with_(context=None)


@pytest.mark.parametrize(
    ("fields", "namespace", "value"),
    [
        ({"userId": "anna", "anonymousId": "device"}, "user_id", "anna"),
        ({"userId": None, "anonymousId": " device "}, "anonymous_id", "device"),
        ({"userId": " ", "anonymousId": "device"}, "anonymous_id", "device"),
        ({"userId": None, "anonymousId": "device", "context": {"traits": {"email": "Anna@Example.com"}}}, "email", "anna@example.com"),
        ({"userId": None, "anonymousId": "device", "context": {"traits": {"phone": 4670123}}}, "phone", "4670123"),
        ({"userId": None, "anonymousId": "device", "context": {"traits": [1]}}, "anonymous_id", "device"),
        ({"userId": None, "anonymousId": "device", "traits": {"email": "a@b.example"}}, "anonymous_id", "device"),
        ({"type": "identify", "userId": None, "anonymousId": "device", "traits": {"email": "a@b.example"}}, "email", "a@b.example"),
    ],
)
def test_key_is_the_node_of_the_strongest_identifier(fields, namespace, value, post, producer, keys):
    assert post("batch", {"batch": [with_(**fields)]}).status_code == 200

    assert producer.records[0][0] == node_of(namespace, value, keys.token_secret)


def test_meaning_is_left_to_the_speed_layer(post, producer):
    answer = post("track", with_(timestamp="the day after tomorrow", properties={"revenue": "much"}))

    assert answer.status_code == 200


def test_message_id_may_come_twice_because_retries_do(post, producer):
    assert post("batch", {"batch": [MESSAGE, MESSAGE]}).status_code == 200
    assert len(producer.records) == 2
