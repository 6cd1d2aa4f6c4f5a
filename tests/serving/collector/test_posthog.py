"""PostHog's capture: every packing and path, who an event belongs to, and what its own event names become."""

import base64
import gzip
import json
from typing import Any

import pytest

from serving.collector.dialects.lz64 import decompress
from serving.collector.refusals import Refusal

DEVICE = "0190-device"
CAPTURED = {"event": "Order Completed", "uuid": "u-1", "timestamp": "2026-03-01T10:00:00.123Z", "properties": {"distinct_id": "anna", "token": "wk_test", "revenue": 12.50}}


def captured(name: str, distinct_id: str = "anna", **properties: Any) -> dict[str, Any]:
    return {"event": name, "distinct_id": distinct_id, "uuid": "u-1", "properties": properties}


@pytest.fixture
def send(stranger, producer):
    """Sends a batch and returns the messages that came of it."""

    def send(*events: dict[str, Any]) -> list[dict[str, Any]]:
        answer = stranger.post("/batch/", json={"api_key": "wk_test", "batch": list(events), "sent_at": "2026-03-01T10:00:01Z"})
        assert (answer.status_code, answer.json()) == (200, {"status": "Ok"})
        return [json.loads(value) for _, value in producer.records]

    return send


def test_an_event_is_a_track_call_with_its_original(send):
    (message,) = send(CAPTURED)

    assert message == {
        "type": "track", "event": "Order Completed", "messageId": "u-1", "userId": "anna", "timestamp": "2026-03-01T10:00:00.123Z",
        "sentAt": "2026-03-01T10:00:01Z", "properties": {"distinct_id": "anna", "revenue": 12.5}, "context": {},
        "original": {"dialect": "posthog", "event": CAPTURED},
    }  # fmt: skip


TEXT = json.dumps([CAPTURED]).encode()
PACKED = {
    "plain": (TEXT, {}),
    "gzip as the query says": (gzip.compress(TEXT), {"params": {"compression": "gzip-js"}, "headers": {"content-type": "text/plain"}}),
    "gzip as the header says": (gzip.compress(TEXT), {"headers": {"content-encoding": "gzip"}}),
    "base64 in a form, as a beacon": (b"data=" + base64.b64encode(TEXT).replace(b"=", b"%3D"), {"params": {"compression": "base64"}}),
    "json in a form": (b"data=" + TEXT.replace(b" ", b""), {}),
    "one event": (json.dumps(CAPTURED).encode(), {}),
}


@pytest.mark.parametrize("path", ["/e/", "/capture", "/i/v0/e/", "/batch"])
@pytest.mark.parametrize("packing", PACKED)
def test_every_path_takes_every_packing(packing, path, stranger, producer):
    body, options = PACKED[packing]
    answer = stranger.post(path, content=body, **options)

    assert answer.status_code == 200, answer.text
    assert [json.loads(value)["properties"]["revenue"] for _, value in producer.records] == [12.5]


@pytest.mark.parametrize(
    ("event", "user", "anonymous"),
    [
        (captured("x"), "anna", None),
        (captured("x", **{"$device_id": DEVICE, "$is_identified": True}), "anna", DEVICE),
        (captured("x", DEVICE, **{"$device_id": DEVICE}), None, DEVICE),
        (captured("x", **{"$process_person_profile": False}), None, "anna"),
        (captured("x", **{"$is_identified": False}), None, "anna"),
        (captured("$identify", **{"$anon_distinct_id": DEVICE}), "anna", DEVICE),
        ({"event": "x", "distinct_id": 17, "properties": {}}, "17", None),
    ],
)
def test_who_it_was_is_a_user_or_a_device_as_the_client_says(event, user, anonymous, send):
    (message,) = send(event)

    assert (message.get("userId"), message.get("anonymousId")) == (user, anonymous)


def test_its_own_events_are_calls_of_the_spec(send):
    identify, person, alias, group, page, screen, other = send(
        {**captured("$identify"), "$set": {"plan": "pro"}, "$set_once": {"plan": "free"}},
        captured("$set", **{"$set": {"plan": "pro"}}),
        captured("$create_alias", "old", alias="anna"),
        captured("$groupidentify", **{"$group_type": "company", "$group_key": "g-1", "$group_set": {"name": "G"}}),
        captured("$pageview", title="Home", **{"$current_url": "https://x.example/a"}),
        captured("$screen", **{"$screen_name": "Main"}),
        captured("$pageleave", **{"$set": {"plan": "pro"}}),
    )

    assert (identify["type"], identify["traits"], identify["properties"]["$set_once"]) == ("identify", {"plan": "pro"}, {"plan": "free"})
    assert (person["type"], person["traits"]) == ("identify", {"plan": "pro"})
    assert (alias["type"], alias["previousId"], alias["userId"]) == ("alias", "old", "anna")
    assert (group["type"], group["groupId"], group["traits"]) == ("group", "g-1", {"name": "G", "group_type": "company"})
    assert (page["type"], page["name"], page["context"]["page"]["url"]) == ("page", "Home", "https://x.example/a")
    assert (screen["type"], screen["name"]) == ("screen", "Main")
    assert (other["type"], other["event"], other["context"]["traits"]) == ("track", "$pageleave", {"plan": "pro"})


LZ64 = "NobwRApgbhB2AuYBcYDWA3gDgAkLwbgAPbABowBXUgSwBNkyBaARmLEwCcB7TCV+CiAZ2TgqFfr1gBjeAH1qtAIaxY85vHao4tAO6pp8AYhKtocUhGQMATADoArAF97AXSA="
"""By lz-string 1.5: [{"event": "köp 😀", "uuid": "u-1", "properties": {"distinct_id": "anna", "token": "wk_test", "revenue": 12.5}}]."""


@pytest.mark.parametrize("place", ["query", "form"])
def test_lz_string_of_older_clients_is_read(place, stranger, producer):
    body = {"data": LZ64} | ({"compression": "lz64"} if place == "form" else {})
    answer = stranger.post("/e/", data=body, params={"compression": "lz64"} if place == "query" else {})

    assert answer.status_code == 200, answer.text
    message = json.loads(producer.records[0][1])
    assert (message["event"], message["properties"]) == ("köp 😀", {"distinct_id": "anna", "revenue": 12.5})


@pytest.mark.parametrize("data", ["", "Q===", LZ64[:40], "°", "/////////////////", LZ64[:-9] + "AAAAAAAAAA"])
def test_lz_string_that_is_damaged_is_refused(data, stranger, producer):
    assert stranger.post("/e/?compression=lz64", data={"data": data}).status_code == 400
    assert producer.records == []


def test_lz_string_never_grows_over_the_limit():
    with pytest.raises(Refusal, match="longer than 100 bytes"):
        decompress(b"IYI17SOrZ+6IcpqXrZj2u5/vQg4o0k8syi6q2m+uxhhoA===", limit=100)
    assert decompress(b"IYI17SOrZ+6IcpqXrZj2u5/vQg4o0k8syi6q2m+uxhhoA===", limit=600) == b"ab" * 300


def test_an_offset_counts_back_from_the_arrival(send):
    early, late = send(*({**captured("x"), "offset": offset} for offset in (3_600_000, 0)))

    assert early["timestamp"][:14] < late["timestamp"][:14] and early["timestamp"][14:] == late["timestamp"][14:]


@pytest.mark.parametrize(
    ("event", "error", "field"),
    [
        ({"event": "x", "properties": {}}, "missing_identifier", "batch[1].distinct_id"),
        (captured(""), "missing_event_name", "batch[1].event"),
        (captured("$groupidentify"), "missing_identifier", "batch[1].properties.$group_key"),
        (captured("x", "y" * 1025), "identifier_too_long", "batch[1].distinct_id"),
        ({**captured("x"), "properties": 1}, "wrong_type", "batch[1].properties"),
        (1, "wrong_type", "batch[1]"),
    ],
)
def test_what_is_wrong_is_named_as_the_client_names_it(event, error, field, stranger, producer):
    answer = stranger.post("/batch/", json={"api_key": "wk_test", "batch": [CAPTURED, event]})

    assert (answer.status_code, answer.json()["error"], answer.json()["field"]) == (400, error, field)
    assert producer.records == []


def test_gzip_bombs_and_unknown_keys_are_refused(stranger, producer):
    bomb = stranger.post("/e/", content=gzip.compress(b" " * 50_000_000))
    key = stranger.post("/e/", json=[{**CAPTURED, "properties": {"distinct_id": "a", "token": "wk_other"}}])
    nothing = stranger.post("/e/", json=[captured("x")])

    assert (bomb.status_code, key.status_code, nothing.status_code) == (413, 401, 401)
    assert producer.records == []


def test_questions_about_flags_and_configuration_are_answered(stranger):
    assert stranger.post("/flags/?v=2", content=b"x").json()["flags"] == {}
    assert stranger.post("/decide/?v=3", content=b"x").json()["featureFlags"] == {}
    assert stranger.get("/array/wk_test/config").json()["token"] == "wk_test"
    assert stranger.get("/array/wk_other/config").status_code == 401
