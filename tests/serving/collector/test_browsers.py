"""What browsers bring along: other origins, beacons, one-letter paths, images, a cookie, and the wish not to be tracked."""

import base64
import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from millrace.definitions import Definitions
from serving.collector.app import build_app

PAGE = "https://shop.example"
MESSAGE = {"userId": "anna", "event": "x", "messageId": "m-1"}
TRACK = {**MESSAGE, "type": "track"}


def messages(producer: Any) -> list[dict[str, Any]]:
    return [json.loads(value) for _, value in producer.records]


def pixel(message: object) -> str:
    return base64.b64encode(json.dumps(message).encode()).decode()


@pytest.mark.parametrize("path", ["/v1/track", "/e/", "/i", "/v1/webhook", "/flags/"])
def test_a_page_of_any_origin_may_ask_before_and_send(path, stranger):
    asked = stranger.options(path, headers={"Origin": PAGE, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,anonymousid"})

    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == PAGE
    assert asked.headers["access-control-allow-credentials"] == "true"
    assert "POST" in asked.headers["access-control-allow-methods"] and asked.headers["access-control-allow-headers"] == "authorization,anonymousid"


def test_pages_can_read_answers_and_refusals_with_their_retry_after(stranger, producer):
    taken = stranger.post("/v1/t", json={**MESSAGE, "writeKey": "wk_test"}, headers={"Origin": PAGE})
    refused = stranger.post("/v1/t", json=MESSAGE, headers={"Origin": PAGE})
    without = stranger.post("/v1/t", json={**MESSAGE, "writeKey": "wk_test"})

    assert [answer.headers.get("access-control-allow-origin") for answer in (taken, refused, without)] == [PAGE, PAGE, None]
    assert (refused.status_code, refused.headers["access-control-expose-headers"]) == (401, "Retry-After")


@pytest.mark.parametrize(("path", "kind"), [("i", "identify"), ("t", "track"), ("p", "page"), ("s", "screen"), ("g", "group"), ("a", "alias")])
def test_one_letter_paths_are_the_calls(path, kind, stranger, producer):
    message = {**MESSAGE, "groupId": "g", "previousId": "old", "writeKey": "wk_test"}

    assert stranger.post(f"/v1/{path}", content=json.dumps(message), headers={"content-type": "text/plain"}).status_code == 200
    assert messages(producer)[0]["type"] == kind


@pytest.mark.parametrize("path", ["/v1/b", "/beacon/v1/batch", "/v1/import"])
def test_a_beacon_brings_its_key_in_the_query(path, stranger, producer):
    body = json.dumps({"batch": [TRACK]})

    assert stranger.post(f"{path}?writeKey=wk_test", content=body, headers={"content-type": "text/plain"}).status_code == 200
    assert stranger.post(f"{path}?writeKey=wk_other", content=body).status_code == 401
    assert messages(producer) == [TRACK]


def test_what_rudderstack_says_elsewhere_goes_where_segment_says_it(post, producer):
    post("batch", {"batch": [{"type": "identify", "messageId": "m", "userId": "anna", "originalTimestamp": "2026-03-01T10:00:00Z", "context": {"traits": {"plan": "pro"}}}]})
    post("identify", {"messageId": "m", "userId": "anna", "timestamp": "2026-03-01T11:00:00Z", "originalTimestamp": "x", "traits": {}, "context": {"traits": {"plan": "pro"}}})
    post("identify", {"messageId": "m", "userId": "anna", "context": {"traits": [1]}})

    moved, own, odd = messages(producer)
    assert (moved["timestamp"], moved["traits"]) == ("2026-03-01T10:00:00Z", {"plan": "pro"})
    assert (own["timestamp"], own["traits"]) == ("2026-03-01T11:00:00Z", {})
    assert "traits" not in odd and "timestamp" not in odd


def test_an_image_carries_one_message(stranger, producer):
    answer = stranger.get(f"/v1/pixel/track?data={pixel({**MESSAGE, 'writeKey': 'wk_test'})}")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/gif")
    assert messages(producer) == [{**TRACK, "writeKey": "wk_test"}]


def test_an_image_that_names_nobody_goes_by_a_cookie(stranger, producer):
    for _ in range(2):
        answer = stranger.get(f"/v1/pixel/page?data={pixel({'name': 'Mail', 'writeKey': 'wk_test'}).rstrip('=')}")
        assert answer.status_code == 200

    first, second = messages(producer)
    assert first["anonymousId"] == second["anonymousId"] == stranger.cookies["millrace_id"]
    assert first["messageId"] != second["messageId"]


@pytest.mark.parametrize(
    ("query", "error", "field"),
    [
        ("", "malformed_json", "data"),
        ("data=%FF", "malformed_base64", "data"),
        (f"data={pixel([1])}", "wrong_type", "data"),
        (f"data={pixel({**TRACK, 'event': ''})}", "missing_event_name", "data.event"),
        (f"data={pixel({**TRACK, 'type': 'page'})}", "wrong_type", "data.type"),
    ],
)
def test_an_image_with_something_wrong_says_what(query, error, field, client, producer):
    answer = client.get(f"/v1/pixel/track?{query}")

    assert (answer.status_code, answer.json()["error"], answer.json()["field"]) == (400, error, field)
    assert producer.records == []


def test_clients_are_told_where_to_send_to(stranger):
    settings = stranger.get("/v1/projects/wk_test/settings", headers={"host": "c.example", "x-forwarded-proto": "https"}).json()
    source = stranger.get("/sourceConfig/?writeKey=wk_test").json()["source"]

    assert {"apiKey": "wk_test", "apiHost": "c.example/v1", "protocol": "https"}.items() <= settings["integrations"]["Segment.io"].items()
    assert (source["enabled"], source["destinations"]) == (True, [])
    assert stranger.get("/v1/projects/wk_other/settings").status_code == stranger.get("/sourceConfig/").status_code == 401


@pytest.fixture
def objecting(producer, keys):
    """``objecting(mode, header)``: a client whose browser sends that header, to a source of that mode (None: as by default)."""
    opened = []

    def open_client(mode: str | None, header: str) -> TestClient:
        sources = {"http": {"do_not_track": mode}} if mode else {}
        app = build_app(producer, keys, definitions=Definitions.model_validate({"views": {}, "sources": sources}))
        opened.append(TestClient(app, headers={header: "1"}, raise_server_exceptions=False))
        opened[-1].__enter__()
        return opened[-1]

    yield open_client
    for client in opened:
        client.__exit__(None, None, None)


PERSONAL = {**TRACK, "anonymousId": "device", "traits": {"a": 1}, "properties": {"revenue": 1.50, "$ip": "192.0.2.1"}, "context": {"ip": "192.0.2.1", "traits": {"email": "a@b.example"}, "page": {"path": "/"}}}


@pytest.mark.parametrize("header", ["DNT", "Sec-GPC"])
def test_who_objects_is_counted_and_not_known(header, objecting, producer):
    answer = objecting(None, header).post("/v1/batch?writeKey=wk_test", json={"batch": [PERSONAL, {**MESSAGE, "type": "identify"}, TRACK]})
    assert answer.status_code == 200

    first, second = messages(producer)
    nobody = first.pop("anonymousId")
    assert nobody.startswith("not-tracked-") and nobody == second["anonymousId"]
    assert first == {"type": "track", "messageId": "m-1", "event": "x", "properties": {"revenue": 1.5}, "context": {"page": {"path": "/"}, "doNotTrack": True}}


def test_two_requests_of_who_objects_have_nothing_in_common(objecting, producer):
    client = objecting("anonymous", "DNT")
    for _ in range(2):
        answer = client.get("/i?e=pp&aid=wk_test&duid=device", headers={"cookie": "millrace_id=0123456789"})
        assert answer.status_code == 200 and "set-cookie" not in answer.headers

    first, second = messages(producer)
    assert first["anonymousId"] != second["anonymousId"]
    assert "original" not in first and "device" not in json.dumps(first)


def test_a_source_may_keep_or_drop_what_objectors_send(objecting, producer):
    assert objecting("drop", "Sec-GPC").post("/v1/track?writeKey=wk_test", json=PERSONAL).status_code == 200
    assert objecting("drop", "Sec-GPC").post("/e/", json={"api_key": "wk_test", "event": "x", "distinct_id": "anna"}).status_code == 200
    assert producer.records == []
    client = objecting("anonymous", "DNT")
    client.post("/v1/batch?writeKey=wk_test", json={"batch": [TRACK, {**MESSAGE, "type": "identify"}]})
    figures = client.get("/metrics").text
    assert "collector_events_total 1.0" in figures and "collector_withheld_events_total 1.0" in figures
    producer.records.clear()
    assert objecting("keep", "DNT").post("/v1/track?writeKey=wk_test", json=PERSONAL).status_code == 200
    assert messages(producer) == [PERSONAL]


def test_a_wrong_request_is_refused_with_or_without_an_objection(objecting):
    assert objecting("drop", "DNT").post("/v1/track?writeKey=wk_test", json={"event": "x"}).status_code == 400
