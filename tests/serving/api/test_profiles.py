"""Profiles over HTTP: who may ask, what is answered, and that unknown and forbidden cannot be told apart."""

import json
import shutil
from urllib.parse import quote

import pytest

from millrace.identity.nodes import node_of
from tests.serving.api.conftest import OpenApi
from tests.serving.store.by_hand import SECRET, HandMade, Order
from tests.serving.store.stores import StartStore, wait_until


def node(namespace: str, value: str) -> str:
    return node_of(namespace, value, SECRET) or ""


ANN, MAIL = node("user_id", "ann"), node("email", "ann@x.org")
ODD = "a/b:c?d#é +1%"


def test_an_answer_has_the_person_his_masked_identifiers_the_traits_and_a_receipt(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN, also=(MAIL,), revenue="2.50"))
    answer = open_api(start_store()).get("/v1/profiles/email:Ann@X.org").json()
    assert answer["id"].startswith("p_")
    assert [identifier["namespace"] for identifier in answer["identifiers"]] == ["user_id", "email"]
    assert answer["traits"]["spend"] == {"value": "2.5", "layer": "speed", "as_of": "2025-01-10T12:30:00Z"}
    assert answer["traits"]["spend_2d"]["as_of"] == "2025-01-11T00:00:00Z"
    assert {name: value for name, value in answer["receipt"].items() if name not in ("id", "definitions_hash")} == {
        "manifest_id": None, "cut": 0, "head": 1, "as_of": "2025-01-11T00:00:00Z", "staleness_ms": 1_799_000, "complete": True, "decisions": 0,
    }  # fmt: skip


def test_nobody_is_called_unknown_before_anything_can_be_served(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN))
    tenant.manifest(1, {"a": 1})
    store = start_store(wait=False)
    wait_until(lambda: store.status().problem is not None)
    api = open_api(store)
    answers = [api.get("/v1/profiles/user_id:ann"), api.post("/v1/profiles:lookup", json={"profiles": ["user_id:ann"]})]
    assert [(answer.status_code, answer.json()["error"]) for answer in answers] == [(503, "not_ready")] * 2


def test_no_answer_shows_an_identifier_in_clear(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN, also=(MAIL,)))
    text = open_api(start_store()).get("/v1/profiles/user_id:ann").text
    assert "ann" not in text and "x.org" not in text and ANN.partition(":")[2] not in text


@pytest.mark.parametrize("value", [ODD, "  ann ", "ann"])
def test_a_value_is_decoded_and_normalised_like_in_events(tenant: HandMade, start_store: StartStore, open_api: OpenApi, value: str) -> None:
    tenant.write(Order(node("user_id", value)))
    assert open_api(start_store()).get(f"/v1/profiles/user_id:{quote(value, safe='')}").status_code == 200


def test_an_identifier_that_ends_like_another_path_has_a_profile(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    value = "ann/segments/busy/why"
    tenant.write(Order(node("user_id", value)), Order(ANN))
    api = open_api(start_store())
    answer = api.get(f"/v1/profiles/user_id:{quote(value, safe='')}")
    assert (answer.status_code, [one["namespace"] for one in answer.json()["identifiers"]]) == (200, ["user_id"])
    assert api.get(f"/v1/profiles/user_id:{value}").status_code == 404  # why ann is in a segment that there is not


def test_as_of_moves_the_windows(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN, at="2025-01-02T12:00:00Z", revenue="3"))
    api = open_api(start_store())
    for text in ("2025-01-03T00:00:00Z", "2025-01-03T00:00:00", "2025-01-03T01:00:00+01:00", quote("2025-01-03T01:00:00+01:00")):
        assert api.get(f"/v1/profiles/user_id:ann?as_of={text}").json()["traits"]["spend_2d"] == {
            "value": "3",
            "layer": "speed",
            "as_of": "2025-01-03T00:00:00Z",
        }
    assert api.get("/v1/profiles/user_id:ann").json()["traits"]["spend_2d"]["value"] == "0"


@pytest.mark.parametrize("as_of", ["", "yesterday", "1969-12-31T23:59:59Z", "9999-12-31T00:00:00Z"])
def test_a_time_that_is_none_is_refused(start_store: StartStore, open_api: OpenApi, as_of: str) -> None:
    answer = open_api(start_store()).get("/v1/profiles/user_id:ann", params={"as_of": as_of})
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_as_of")


def test_without_a_right_key_nothing_is_answered(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN))
    api = open_api(start_store())
    paths = ["/v1/profiles/user_id:ann", "/v1/profiles/user_id:nobody", "/v1/status", "/v1/receipts/x:replay", "/v1/batches"]
    for header in ("", "Bearer wk_test", "Bearer ", "Basic rk_test", "Bearer rk_tesT", "Bearer é"):
        answers = [api.get(path, headers={"Authorization": header.encode()}) for path in paths]
        assert {answer.status_code for answer in answers} == {401}
        assert len({answer.content for answer in answers}) == 1
    assert api.get(paths[0], headers={"Authorization": "Bearer ak_test"}).status_code == 200


def test_unknown_and_forbidden_are_the_same_bytes(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN))
    api = open_api(start_store())
    answers = [
        api.get("/v1/profiles/user_id:nobody"), api.get("/v1/profiles/passport:1"), api.get("/v1/profiles/user_id:"), api.get("/v1/profiles/nothing"),
        api.get("/v1/nothing"), api.get("/v1/batches"), api.post("/v1/batches", json={}), api.post("/v1/batches/1:rollback"), api.get("/v1/receipts/forged:replay"),
    ]  # fmt: skip
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1


def test_a_lookup_answers_in_the_order_of_its_keys_at_one_head(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN, revenue="1"), Order(node("user_id", "bob"), revenue="2"))
    keys = ["user_id:bob", "user_id:nobody", "email:", "user_id:ann", "user_id:bob", "x"]
    answers = open_api(start_store()).post("/v1/profiles:lookup", json={"profiles": keys, "as_of": "2025-01-10T15:00:00Z"}).json()["profiles"]
    assert [answer["found"] and answer["traits"]["spend"]["value"] for answer in answers] == ["2", False, False, "1", "2", False]
    assert answers[1] == {"found": False}
    assert {(answer["receipt"]["head"], answer["traits"]["spend"]["as_of"]) for answer in answers if answer["found"]} == {(1, "2025-01-10T15:00:00Z")}


@pytest.mark.parametrize("body", [{}, {"profiles": "user_id:1"}, {"profiles": ["user_id:1"] * 1_001}, {"profiles": [1]}, []])
def test_a_lookup_of_another_shape_is_refused_without_repeating_it(start_store: StartStore, open_api: OpenApi, body: object) -> None:
    answer = open_api(start_store()).post("/v1/profiles:lookup", json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "wrong_shape")
    assert "user_id:1" not in answer.text


def test_a_key_that_cannot_be_text_is_unknown(start_store: StartStore, open_api: OpenApi) -> None:
    body = b'{"profiles": ["user_id:\\ud800"]}'
    answer = open_api(start_store()).post("/v1/profiles:lookup", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (200, {"profiles": [{"found": False}]})


def test_a_failure_of_the_api_itself_tells_its_kind_and_nothing_else(start_store: StartStore, open_api: OpenApi, monkeypatch: pytest.MonkeyPatch) -> None:
    store = start_store()
    monkeypatch.setattr(store, "pin", lambda nodes: 1 / 0)
    answer = open_api(store).get("/v1/profiles/user_id:ann")
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert "ann" not in answer.text


def test_a_thousand_keys_are_looked_up(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(*(Order(node("user_id", str(n)), revenue=str(n)) for n in range(1_000)))
    answers = open_api(start_store()).post("/v1/profiles:lookup?as_of=2025-01-10T15:00:00Z", json={"profiles": [f"user_id:{n}" for n in range(1_000)]}).json()
    assert [answer["traits"]["spend"]["value"] for answer in answers["profiles"]] == [str(n) for n in range(1_000)]


def test_a_receipt_is_replayed_to_the_same_bytes_after_more_was_published(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN, also=(MAIL,)))
    store = start_store()
    api = open_api(store)
    answer = api.get("/v1/profiles/user_id:ann")
    tenant.write(Order(ANN))
    tenant.publish(cut=2)
    wait_until(lambda: store.status().manifest_id == 1)
    again = api.get(f"/v1/receipts/{answer.json()['receipt']['id']}:replay")
    assert (again.status_code, again.content) == (200, answer.content)


def test_a_receipt_whose_versions_are_gone_is_410(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN))
    store = start_store()
    answer = open_api(store).get("/v1/profiles/user_id:ann").json()
    shutil.rmtree(tenant.tables.path("speed"))
    gone = open_api(store).get(f"/v1/receipts/{answer['receipt']['id']}:replay")
    assert (gone.status_code, gone.json()["error"]) == (410, "receipt_expired")


def test_the_same_question_has_the_same_bytes(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN, also=(MAIL,)))
    api = open_api(start_store())
    one, other = (api.get("/v1/profiles/user_id:ann").content for _ in range(2))
    assert one == other and list(json.loads(one)) == ["id", "identifiers", "traits", "segments", "receipt"]


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/profiles/user_id:ann?asof=2025-01-01"), ("POST", "/v1/profiles:lookup?at=1")])
def test_a_parameter_nobody_knows_is_refused_instead_of_answered_as_of_now(
    tenant: HandMade, start_store: StartStore, open_api: OpenApi, method: str, path: str
) -> None:
    tenant.write(Order(ANN))
    answer = open_api(start_store()).request(method, path, json={"profiles": ["user_id:ann"]} if method == "POST" else None)
    assert (answer.status_code, answer.json()["error"]) == (400, "unknown_parameter")


def test_a_body_that_is_not_sent_as_json_is_told_to_be(start_store: StartStore, open_api: OpenApi) -> None:
    answer = open_api(start_store()).post("/v1/profiles:lookup", content=b'{"profiles": []}', headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 400
    assert "Content-Type: application/json" in answer.json()["message"]


def test_another_method_is_told_the_right_one_and_a_path_without_a_key_is_not_redirected(start_store: StartStore, open_api: OpenApi) -> None:
    api = open_api(start_store())
    assert "allowed GET" in api.delete("/v1/profiles/user_id:ann").json()["message"]
    assert api.get("/v1/profiles", follow_redirects=False).status_code == 404
