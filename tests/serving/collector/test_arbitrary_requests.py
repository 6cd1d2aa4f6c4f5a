"""Whatever is sent, the collector answers 200 or says what is wrong; and what it takes, any JSON reader can read."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

SAME_CLIENT = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
CALLS = st.sampled_from(["batch", "track", "identify", "page", "screen", "group", "alias"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8)
FIELDS = ["type", "messageId", "userId", "anonymousId", "previousId", "groupId", "event", "properties", "traits", "context", "timestamp", "sentAt", "writeKey"]
IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(lambda text: text.strip())
OBJECTS = st.dictionaries(st.text(max_size=4), VALUES, max_size=3)
SOUND = st.fixed_dictionaries(
    {"userId": IDS, "previousId": IDS, "groupId": IDS, "event": IDS, "extra": VALUES},
    optional={"messageId": IDS, "properties": OBJECTS, "traits": OBJECTS, "context": st.none() | OBJECTS, "sentAt": st.none() | IDS},
)
ODD = st.dictionaries(st.sampled_from(FIELDS), VALUES)
TYPED = st.builds(lambda message, kind: {**message, "type": kind}, SOUND, st.sampled_from(["track", "identify", "page", "screen", "group", "alias"]))
BATCHES = st.fixed_dictionaries({"batch": st.lists(TYPED, min_size=1, max_size=4)}, optional={"sentAt": IDS, "context": OBJECTS})
ODD_BATCHES = st.fixed_dictionaries({"batch": st.lists(TYPED | ODD, max_size=4) | VALUES}, optional={"sentAt": VALUES, "context": VALUES})


def text_of(value: object, ascii_only: bool) -> bytes:
    return json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")


@SAME_CLIENT
@given(call=CALLS, body=st.binary(max_size=200), gzipped=st.sampled_from(["", "claimed", "really"]))
def test_arbitrary_bytes_are_never_a_fault_of_the_server(call, body, gzipped, client):
    headers = {"Content-Encoding": "gzip"} if gzipped else {}
    answer = client.post(f"/v1/{call}", content=gzip.compress(body) if gzipped == "really" else body, headers=headers)

    assert answer.status_code < 500


@SAME_CLIENT
@given(call=CALLS, value=BATCHES | ODD_BATCHES | SOUND | ODD | VALUES, ascii_only=st.booleans())
def test_arbitrary_json_is_taken_readably_or_refused_with_a_field(call, value, ascii_only, client, producer):
    producer.records.clear()
    answer = client.post(f"/v1/{call}", content=text_of(value, ascii_only))

    if answer.status_code == 200:
        taken = [json.loads(record) for _, record in producer.records]
        sent = value["batch"] if call == "batch" else [value]
        event(f"taken by {call}")
        assert len(taken) == len(sent)
        assert all(one.items() <= other.items() for one, other in zip(map(plain, sent), map(plain, taken), strict=True))
        assert all(message["type"] and message["messageId"] for message in taken)
    else:
        assert 400 <= answer.status_code < 500
        assert set(answer.json()) == {"error", "code", "field", "message"}
        assert producer.records == []


def plain(message: dict[str, object]) -> dict[str, str]:
    return {name: json.dumps(value, sort_keys=True) for name, value in message.items()}


@pytest.mark.parametrize("length", ["abc", "-1", "9" * 5000, "0x10", ""])
def test_odd_content_length_is_never_a_fault_of_the_server(length, client):
    answer = client.post("/v1/track", content=b"{}", headers={"Content-Length": length})

    assert 400 <= answer.status_code < 500
