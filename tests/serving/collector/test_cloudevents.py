"""CloudEvents as the CNCF's own library writes them, in each mode of the HTTP binding."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent

ATTRIBUTES = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "Order Completed", "time": "2026-03-01T10:00:00Z", "userid": "anna"}
DATA = {"revenue": 12.5, "note": "köp"}
URL = "/v1/cloudevents?writeKey=wk_test"
BATCHED = {"content-type": "application/cloudevents-batch+json"}
STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}


def sent(producer: Any) -> list[dict[str, Any]]:
    return [json.loads(value) for _, value in producer.records]


@pytest.mark.parametrize("write", [to_structured_event, to_binary_event])
def test_the_librarys_modes_give_the_same_message(write, stranger, producer):
    attributes = {**ATTRIBUTES, "time": datetime(2026, 3, 1, 10, tzinfo=UTC), "datacontenttype": "application/json"}
    request = write(CloudEvent(attributes, DATA))
    answer = stranger.post(URL, content=request.body, headers=dict(request.headers))

    assert answer.status_code == 200, answer.text
    (message,) = sent(producer)
    original = message.pop("original")
    assert (original["dialect"], original["event"]["data"], original["event"]["userid"]) == ("cloudevents", DATA, "anna")
    assert message.pop("timestamp")[:19] == "2026-03-01T10:00:00"
    assert message == {
        "type": "track", "event": "Order Completed", "messageId": "5e531b43-b0ae-5e56-896c-521b2fd64466", "userId": "anna", "properties": DATA,
        "context": {"source": "/shop"},
    }  # fmt: skip


def test_a_batch_has_a_message_for_each_event_named_by_source_and_id(stranger, producer):
    events = [{**ATTRIBUTES, "data": DATA}, {**ATTRIBUTES, "id": "2"}, {**ATTRIBUTES, "source": "/other"}]
    for _ in range(2):
        assert stranger.post(URL, content=json.dumps(events), headers=BATCHED).status_code == 200

    ids = [message["messageId"] for message in sent(producer)]
    assert len(set(ids)) == 3 and ids[:3] == ids[3:]
    assert {message["timestamp"] for message in sent(producer)} == {"2026-03-01T10:00:00Z"}


def test_extensions_say_another_call_and_who_it_was(stranger, producer):
    events = [
        {**ATTRIBUTES, "call": "identify", "data": {"plan": "pro"}},
        {**ATTRIBUTES, "call": "group", "groupid": "g-1", "data": {"name": "G"}},
        {**ATTRIBUTES, "call": "alias", "previousid": "old"},
        {**{name: value for name, value in ATTRIBUTES.items() if name != "userid"}, "data": {"anonymousId": "device"}},
    ]
    assert stranger.post(URL, content=json.dumps(events), headers=BATCHED).status_code == 200

    identify, group, alias, nameless = sent(producer)
    assert (identify["type"], identify["traits"]) == ("identify", {"plan": "pro"})
    assert (group["groupId"], group["traits"]) == ("g-1", {"name": "G"})
    assert (alias["previousId"], alias["userId"]) == ("old", "anna")
    assert nameless["anonymousId"] == "device"


@pytest.mark.parametrize(("data", "properties"), [({"data": [1]}, {"data": [1]}), ({"data_base64": "AAEC"}, {"data_base64": "AAEC"}), ({"data": None}, None), ({}, None)])
def test_data_that_is_no_object_stands_in_one(data, properties, stranger, producer):
    assert stranger.post(URL, content=json.dumps({**ATTRIBUTES, **data}), headers=STRUCTURED).status_code == 200

    assert sent(producer)[0].get("properties") == properties


@pytest.mark.parametrize(
    ("event", "error", "field"),
    [
        ({**ATTRIBUTES, "id": ""}, "missing_field", "[0].id"),
        ({**ATTRIBUTES, "specversion": "0.3"}, "unknown_version", "[0].specversion"),
        ({**ATTRIBUTES, "userid": ""}, "missing_identifier", "[0].userid"),
        ({**ATTRIBUTES, "call": "buy"}, "unknown_type", "[0].call"),
        ({**ATTRIBUTES, "source": {}}, "wrong_type", "[0].source"),
        ([], "wrong_type", "[0]"),
    ],
)
def test_what_is_wrong_is_named_as_the_specification_names_it(event, error, field, stranger, producer):
    answer = stranger.post(URL, content=json.dumps([event]), headers=BATCHED)

    assert (answer.status_code, answer.json()["error"], answer.json()["field"]) == (400, error, field)
    assert producer.records == []


def test_a_mode_that_is_none_and_a_missing_key_are_refused(stranger):
    assert stranger.post(URL, json=ATTRIBUTES).json()["error"] == "unknown_content_type"
    assert stranger.post("/v1/cloudevents", content=json.dumps(ATTRIBUTES), headers=STRUCTURED).status_code == 401
