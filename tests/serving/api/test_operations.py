"""Status, health, metrics, the page of the API, and the limit of bodies."""

import json
import re

import pytest

from serving.api.bodies import MAX_BODY_BYTES
from tests.serving.api.conftest import OpenApi
from tests.serving.store.by_hand import HandMade, Order
from tests.serving.store.stores import StartStore, wait_until


def test_the_status_says_where_the_log_stands(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order("user_id:a"), Order("user_id:b"))
    tenant.publish(cut=1)
    tenant.write(Order("user_id:a"))
    status = open_api(start_store()).get("/v1/status").json()
    assert status["log"] == {"accepted": 3, "rejected": 0, "duplicate": 0, "received": 3}
    assert [status[name] for name in ("head", "manifest_id", "cut", "complete", "problem")] == [2, 1, 1, True, None]


def test_a_hole_is_told_at_readyz_while_answers_go_on(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order("user_id:a"))
    store = start_store()
    tenant.begin()
    tenant.begin()
    tenant.commit(0, epoch=3)
    wait_until(lambda: not store.status().complete)
    answer = open_api(store).get("/readyz", headers={"Authorization": ""})
    assert (answer.status_code, answer.json()["ready"], answer.json()["head"], answer.json()["complete"]) == (200, True, 1, False)
    assert "no epoch 2" in answer.json()["problem"]


def test_readyz_is_503_while_nothing_can_be_served(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order("user_id:a"))
    tenant.manifest(1, {"a": 1})
    store = start_store(wait=False)
    wait_until(lambda: store.status().problem is not None)
    answer = open_api(store).get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert open_api(store).get("/healthz").status_code == 200


def test_readyz_is_503_when_nothing_follows_the_tables_any_more(start_store: StartStore, open_api: OpenApi) -> None:
    store = start_store()
    store.close()
    store._follower.looked_at -= 3_600
    assert open_api(store).get("/readyz").status_code == 503


def test_metrics_name_routes_and_never_what_was_asked_for(start_store: StartStore, open_api: OpenApi) -> None:
    api = open_api(start_store())
    api.get("/v1/profiles/user_id:ann")
    api.get("/v1/secret-path")
    text = api.get("/metrics", headers={"Authorization": ""}).text
    assert 'api_requests_total{route="/v1/profiles/{key:path}",status="404"} 1.0' in text
    assert 'route="other",status="404"' in text
    assert "store_ready 1.0" in text and "store_head 0.0" in text
    assert "ann" not in text and "secret-path" not in text


def test_the_page_of_the_api_lists_what_can_be_asked(start_store: StartStore, open_api: OpenApi) -> None:
    api = open_api(start_store())
    assert {"/v1/profiles/{key}", "/v1/profiles:lookup", "/v1/receipts/{receipt_id}:replay", "/v1/batches", "/v1/status"} <= set(
        api.get("/openapi.json").json()["paths"]
    )


def test_the_page_of_the_api_needs_nothing_from_outside(start_store: StartStore, open_api: OpenApi) -> None:
    """No network, and no script of somebody else beside a key that was typed into the page."""
    api = open_api(start_store())
    page = api.get("/docs")
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert page.status_code == 200 and len(loaded) >= 2
    assert [url for url in loaded if not url.startswith("/") or api.get(url).status_code != 200] == []


def test_the_description_names_the_answers_that_there_are(start_store: StartStore, open_api: OpenApi) -> None:
    described = open_api(start_store()).get("/openapi.json").json()
    answers = {status for path in described["paths"].values() for operation in path.values() for status in operation["responses"]}
    assert answers == {"200", "201", "4XX", "503"}
    schemas = described["components"]["schemas"]
    assert set(schemas["Profile"]["properties"]) == {"id", "identifiers", "traits", "segments", "receipt", "asked_id"}
    asked = re.findall(r"#/components/schemas/([^\"]+)", json.dumps(described))
    assert set(asked) <= set(schemas)


@pytest.mark.parametrize("headers", [{}, {"Authorization": ""}])
def test_a_body_is_read_up_to_a_limit_whoever_sends_it(start_store: StartStore, open_api: OpenApi, headers: dict[str, str]) -> None:
    api = open_api(start_store())
    question = b'{"profiles": []}'
    longest = question + b" " * (MAX_BODY_BYTES - len(question))
    sent = headers | {"Content-Type": "application/json"}
    assert api.post("/v1/profiles:lookup", content=longest, headers=sent).status_code == (401 if headers else 200)
    for body in (longest + b" ", iter([longest, b" "])):  # its length declared, and not
        answer = api.post("/v1/profiles:lookup", content=body, headers=sent)
        assert (answer.status_code, answer.json()["error"]) == (413, "request_too_large")
