"""What is refused: whole requests, with a code, the field and what to do; never with a value the client sent."""

import gzip
import json
import zlib

import pytest
from starlette.testclient import TestClient

from millrace.errors import BrokerUnavailable
from millrace.settings import DEFAULTS, CollectorSettings
from serving.collector.app import build_app
from serving.collector.publishing import QueueFull
from serving.collector.refusals import MAX_DEPTH

LIMITS = DEFAULTS.collector
MESSAGE = {"type": "track", "messageId": "m-1", "userId": "anna", "event": "Order Completed"}


def with_(**changes: object) -> dict[str, object]:
    return {**MESSAGE, **changes}


def without(*names: str) -> dict[str, object]:
    return {name: value for name, value in MESSAGE.items() if name not in names}


def refusal(answer) -> tuple[int, str, str]:
    body = answer.json()
    assert set(body) == {"error", "code", "field", "message"}
    return answer.status_code, body["error"], body["field"]


@pytest.mark.parametrize(
    ("message", "code", "field"),
    [
        (without("type"), "unknown_type", "type"),
        (with_(type="purchase"), "unknown_type", "type"),
        (with_(type=None), "wrong_type", "type"),
        (with_(userId=17), "wrong_type", "userId"),
        (with_(anonymousId=["a"]), "wrong_type", "anonymousId"),
        (with_(properties="x"), "wrong_type", "properties"),
        (with_(traits=[]), "wrong_type", "traits"),
        (with_(context=True), "wrong_type", "context"),
        (with_(timestamp=1700000000), "wrong_type", "timestamp"),
        (with_(messageId=None), "wrong_type", "messageId"),
        (with_(messageId=""), "missing_message_id", "messageId"),
        (without("userId"), "missing_identifier", "userId"),
        (with_(userId=" \t", anonymousId=""), "missing_identifier", "userId"),
        (with_(userId="\u00a0\u200b"), "missing_identifier", "userId"),
        (with_(type="alias", userId="\u00a0", previousId="\u200b"), "missing_identifier", "userId"),
        (with_(properties={"n": 10**1_000}), "number_too_long", None),
        (without("event"), "missing_event_name", "event"),
        (with_(event="  "), "missing_event_name", "event"),
        (with_(type="group"), "missing_identifier", "groupId"),
        (with_(type="alias"), "missing_identifier", "previousId"),
        ({"type": "alias", "previousId": "device", "anonymousId": "device"}, "missing_identifier", "userId"),
        (with_(userId="a" * 1025), "identifier_too_long", "userId"),
        ("text", "wrong_type", None),
        ([], "wrong_type", None),
        (None, "wrong_type", None),
    ],
)
def test_unsound_message_is_refused_with_its_field(message, code, field, post, producer):
    answer = post("batch", {"batch": [MESSAGE, message, MESSAGE]})

    assert refusal(answer) == (400, code, f"batch[1].{field}" if field else "batch[1]")
    assert "nothing of this request was accepted" in answer.json()["message"]
    assert producer.records == []


def test_field_of_a_single_call_is_named_by_itself(post):
    assert refusal(post("track", without("type", "event"))) == (400, "missing_event_name", "event")


def test_type_must_not_contradict_the_path(post):
    assert refusal(post("page", MESSAGE)) == (400, "wrong_type", "type")


def test_refusal_repeats_no_value(post):
    answer = post("track", with_(userId=None, email="anna@example.com", traits="anna@example.com"))

    assert answer.status_code == 400
    assert "anna" not in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"nul", b'{"batch":[{"a":01}]}', b'{"batch":[]} x', b"\xef\xbb\xbf{}", b'{"a":NaN}', b'{"a":"\x01"}', b'{"userId":"\\ud800"}'])
def test_malformed_json_is_refused(body, post):
    assert refusal(post("batch", body)) == (400, "malformed_json", "body")


@pytest.mark.parametrize("junk", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf"])
def test_invalid_utf8_anywhere_is_refused(junk, post, producer):
    body = json.dumps({"batch": [with_(properties={"note": "HERE"})]}).encode().replace(b"HERE", junk)

    assert refusal(post("batch", body)) == (400, "invalid_utf8", "body")
    assert producer.records == []


@pytest.mark.parametrize(("batch", "field"), [({}, "batch"), ({"batch": None}, "batch"), ({"batch": {}}, "batch"), ({"batch": []}, "batch"), ([], "body")])
def test_batch_that_is_none_is_refused(batch, field, post):
    status, _, found = refusal(post("batch", batch))

    assert (status, found) == (400, field)


@pytest.mark.parametrize(("name", "value"), [("sentAt", 5), ("context", "x")])
def test_shared_fields_of_a_batch_have_types(name, value, post):
    assert refusal(post("batch", {"batch": [MESSAGE], name: value})) == (400, "wrong_type", name)


@pytest.mark.parametrize("name", ["messageId", "userId", "anonymousId"])
def test_identifying_key_that_comes_twice_is_refused(name, post):
    text = json.dumps(with_(anonymousId="device"))[:-1] + f',"{name}":"other"}}'

    assert refusal(post("batch", f'{{"batch":[{text}]}}'.encode())) == (400, "repeated_key", f"batch[0].{name}")


def test_identifying_names_may_stand_deeper_in_a_message(post):
    assert post("track", with_(properties={"userId": "friend", "messageId": "other"}, context={"traits": {"userId": "x"}})).status_code == 200


def test_nesting_is_limited(post):
    deep = {"a": 1}
    for _ in range(MAX_DEPTH - 2):  # the message and its properties are levels too
        deep = {"a": deep}
    allowed, too_deep = with_(properties=deep), with_(properties={"a": deep})

    assert post("track", allowed).status_code == 200
    assert refusal(post("track", too_deep)) == (400, "too_deep", "body")
    assert refusal(post("batch", {"batch": [MESSAGE, too_deep]})) == (400, "too_deep", "batch[1]")


def test_brackets_inside_of_text_are_no_nesting(post):
    assert post("track", with_(properties={"note": '[{"' * 200, "slash": "\\"})).status_code == 200


@pytest.mark.parametrize("opening", [b'{"a":[', b'{"a":', b'{"batch":[', b'{"batch":[{"a":'])
def test_bomb_of_brackets_is_refused(opening, post):
    assert refusal(post("batch", opening * 30_000)) == (400, "too_deep", "body")


def test_message_over_its_limit_is_refused(post):
    size = len(json.dumps(with_(note="")))
    largest, larger = (with_(note="x" * (LIMITS.max_event_bytes - size + more)) for more in (0, 1))

    assert post("batch", {"batch": [largest]}).status_code == 200
    assert refusal(post("batch", {"batch": [MESSAGE, larger]})) == (413, "event_too_large", "batch[1]")


def test_batch_over_its_limit_is_refused(post):
    small = {"type": "screen", "userId": "a"}

    assert post("batch", {"batch": [small] * LIMITS.max_batch_events}).status_code == 200
    assert refusal(post("batch", {"batch": [small] * (LIMITS.max_batch_events + 1)})) == (413, "wrong_batch_size", "batch")


def test_shared_context_must_not_blow_a_request_up(post):
    small = {"type": "screen", "userId": "a"}
    large = {"note": "x" * 30_000}

    assert post("batch", {"context": large, "batch": [small] * 100}).status_code == 200
    assert refusal(post("batch", {"context": large, "batch": [small] * 200})) == (413, "context_too_large", "context")


@pytest.mark.parametrize("declared", [True, False])
def test_request_over_its_limit_is_refused(declared, client):
    body = b" " * (LIMITS.max_request_bytes + 1)
    answer = client.post("/v1/batch", content=body if declared else iter([body[:1000], body[1000:]]))

    assert refusal(answer) == (413, "request_too_large", "body")


def test_gzip_body_is_inflated(post, producer):
    answer = post("batch", gzip.compress(json.dumps({"batch": [MESSAGE]}).encode()), headers={"Content-Encoding": "gzip"})

    assert answer.status_code == 200
    assert json.loads(producer.records[0][1]) == MESSAGE


def test_gzip_body_may_have_several_members(post):
    body = json.dumps({"batch": [MESSAGE]}).encode()

    assert post("batch", gzip.compress(body[:9]) + gzip.compress(body[9:]), headers={"Content-Encoding": "GZip"}).status_code == 200


@pytest.mark.parametrize("bomb", [gzip.compress(b" " * 400_000_000, 9), gzip.compress(b" " * 300_000) * 2])
def test_gzip_bomb_is_refused(bomb, post):
    assert refusal(post("batch", bomb, headers={"Content-Encoding": "gzip"})) == (413, "request_too_large", "body")


@pytest.mark.parametrize("body", [b"{}", gzip.compress(b"{}" * 99)[:-9], zlib.compress(b"{}"), gzip.compress(b"{}") + b"x"])
def test_broken_gzip_is_refused(body, post):
    assert refusal(post("batch", body, headers={"Content-Encoding": "gzip"})) == (400, "malformed_gzip", "body")


def test_other_encodings_are_refused(post):
    assert refusal(post("batch", b"{}", headers={"Content-Encoding": "br"})) == (415, "unknown_encoding", "Content-Encoding")


def test_unknown_path_and_method_are_refused_as_json(client):
    assert refusal(client.post("/v1/purchase")) == (404, "no_such_call", "path")
    assert refusal(client.get("/v1/batch")) == (404, "no_such_call", "path")


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("failure", "code"), [(QueueFull("9 events"), "queue_full"), (BrokerUnavailable("it is away"), "broker_unavailable")])
def test_what_is_not_acknowledged_is_answered_503_with_retry_after(failure, code, late, post, producer):
    producer.failure, producer.late = failure, late
    answer = post("track", MESSAGE)

    assert refusal(answer) == (503, code, "")
    assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize(
    ("limit", "content", "code"),
    [
        ({"max_batch_events": 1}, {"batch": [MESSAGE, MESSAGE]}, "wrong_batch_size"),
        ({"max_event_bytes": 60}, {"batch": [MESSAGE]}, "event_too_large"),
        ({"max_request_bytes": 70, "max_event_bytes": 60}, {"batch": [MESSAGE]}, "request_too_large"),
    ],
)
def test_limits_are_those_of_the_configuration(producer, keys, limit, content, code):
    with TestClient(build_app(producer, keys, settings=CollectorSettings(**limit))) as client:
        answer = client.post("/v1/batch", json=content, auth=(keys.write_key, ""))
    assert answer.json()["error"] == code
    assert str(max(limit.values()) if "max_request_bytes" in limit else next(iter(limit.values()))) in answer.json()["message"]


def test_retry_after_is_that_of_the_configuration(producer, keys):
    producer.failure = BrokerUnavailable("it is away")
    with TestClient(build_app(producer, keys, settings=CollectorSettings(retry_after=7))) as client:
        assert client.post("/v1/track", json=MESSAGE, auth=(keys.write_key, "")).headers["Retry-After"] == "7"


def test_what_only_looks_like_a_number_too_long_or_a_person_without_a_name_is_taken(post):
    assert post("track", with_(properties={"n": "9" * 1_500, "m": 10**999})).status_code == 200
    assert post("alias", with_(type="alias", userId="\u00a0", previousId="before")).status_code == 200
    assert post("track", with_(userId="\u00a0", anonymousId="a")).status_code == 200
