"""Who may send: the write key by basic auth or in the body, and nobody else."""

import base64

import pytest
from starlette.testclient import TestClient

from millrace.definitions import Definitions
from serving.collector.app import build_app

MESSAGE = {"userId": "anna", "event": "x"}


def basic(text: bytes) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text).decode()}"}


@pytest.mark.parametrize("headers", [basic(b"wk_test:"), basic(b"wk_test"), basic(b"wk_test:ignored"), {"Authorization": f"basic  {base64.b64encode(b'wk_test:').decode()}"}])
def test_write_key_by_basic_auth_is_let_in(headers, stranger):
    assert stranger.post("/v1/track", json=MESSAGE, headers=headers).status_code == 200


def test_write_key_in_the_body_is_let_in(stranger):
    assert stranger.post("/v1/track", json={**MESSAGE, "writeKey": "wk_test"}).status_code == 200
    assert stranger.post("/v1/batch", json={"batch": [{**MESSAGE, "type": "track"}], "writeKey": "wk_test"}).status_code == 200


@pytest.mark.parametrize(
    "headers", [basic(b"wk_other:"), basic(b":wk_test"), basic(b""), {"Authorization": "Basic ???"}, {"Authorization": "Basic"}, {"Authorization": "Bearer wk_test"}, {"Authorization": ""}]
)
def test_other_keys_are_turned_away(headers, stranger, producer):
    answer = stranger.post("/v1/track", json={**MESSAGE, "writeKey": "wk_test"}, headers=headers)

    assert (answer.status_code, answer.json()["error"]) == (401, "unknown_write_key")
    assert producer.records == []


@pytest.mark.parametrize("body", [MESSAGE, {**MESSAGE, "writeKey": "wk_other"}, {**MESSAGE, "writeKey": None}, {**MESSAGE, "writeKey": "nyckeln är ö"}])
def test_body_without_the_right_key_is_turned_away(body, stranger, producer):
    answer = stranger.post("/v1/track", json=body)

    assert (answer.status_code, answer.json()["error"]) == (401, "unknown_write_key")
    assert producer.records == []


def test_key_of_a_single_message_does_not_open_a_batch(stranger):
    assert stranger.post("/v1/batch", json={"batch": [{**MESSAGE, "type": "track", "writeKey": "wk_test"}]}).status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_operators_need_no_key(path, stranger):
    assert stranger.get(path).status_code == 200


def test_the_write_key_of_a_source_names_it(producer, keys):
    definitions = Definitions.model_validate({"views": {}, "sources": {"shop": {}}})
    key = keys.write_keys(["shop"])["shop"]
    with TestClient(build_app(producer, keys, definitions=definitions)) as client:
        for send in (
            lambda: client.post("/v1/track", json=MESSAGE, headers=basic(f"{key}:".encode())),
            lambda: client.post("/v1/track", json={**MESSAGE, "writeKey": key}),
            lambda: client.post("/v1/track", json={**MESSAGE, "writeKey": "wk_test"}),
        ):
            assert send().status_code == 200
        assert producer.sources == ["shop", "shop", "http"]
        assert client.post("/v1/track", json={**MESSAGE, "writeKey": keys.write_keys(["blog"])["blog"]}).status_code == 401
