"""Identity over HTTP: what is explained is what is served, masked, with a receipt that gives the same bytes again; unknown and forbidden look the same."""

from pathlib import Path

import pytest
from httpx import Response

from millrace.identity.nodes import node_of
from tests.serving.api.conftest import KEYS, OpenApi
from tests.serving.explain.ruled import RULED, Explained, together
from tests.serving.store.by_hand import SECRET
from tests.serving.store.stores import StartStore, wait_until


def node(namespace: str, value: str) -> str:
    return node_of(namespace, value, SECRET) or ""


ANN, BOB, MAIL, KIOSK = node("user_id", "ann"), node("user_id", "bob"), node("email", "ann@x.org"), node("anonymous_id", "kiosk")


@pytest.fixture
def ruled(tmp_path: Path) -> Explained:
    """Ann with her mail, and a kiosk that turns out after the cut to be Bob's as well."""
    tenant = Explained(tmp_path)
    tenant.write(*together((ANN, MAIL), (ANN, KIOSK)))
    tenant.publish(cut=1)
    tenant.write(*together((BOB, KIOSK)))
    return tenant


def test_an_explanation_has_the_graph_the_evidence_the_refused_edges_and_the_history(ruled: Explained, start_store: StartStore, open_api: OpenApi) -> None:
    api = open_api(start_store(RULED))
    answer = api.get("/v1/identity/email:Ann@X.org").json()
    assert list(answer) == ["person_id", "identifier", "because", "graph", "history", "receipt"]
    assert answer["person_id"] == api.get("/v1/profiles/user_id:ann").json()["id"]
    assert answer["graph"]["counts"] == {"persons": 1, "nodes": 2, "edges": 1, "refused": 1, "decided": 0}
    (edge,), (refused,) = answer["graph"]["edges"], answer["graph"]["refused"]
    assert (edge["verdict"], edge["seen_count"], edge["layer"], edge["first_seen"]) == ("joins", 1, "batch", {"epoch": 1, "partition": 0, "offset": 0})
    assert (refused["verdict"], refused["reason"], refused["layer"]) == ("refused", "shared", "batch")
    assert [change["change"] for change in answer["history"]["changes"]] == ["new"]
    assert answer["receipt"] | {"id": "", "definitions_hash": ""} == {
        "id": "", "manifest_id": 1, "cut": 1, "head": 2, "as_of": "2025-01-10T12:30:00Z", "definitions_hash": "", "staleness_ms": 1_798_000, "complete": True,
        "decisions": 0,
    }  # fmt: skip


def test_why_names_what_keeps_two_apart(ruled: Explained, start_store: StartStore, open_api: OpenApi) -> None:
    api = open_api(start_store(RULED))
    apart = api.get("/v1/identity:why", params={"a": "user_id:ann", "b": "user_id:bob"}).json()
    assert (apart["same_person"], apart["connected"]) == (False, True)
    assert [(edge["reason"], edge["layer"]) for edge in apart["path"]] == [("shared", "batch"), ("shared", "speed")]
    together_ = api.get("/v1/identity:why", params={"a": "user_id:ann", "b": "email:ann@x.org"}).json()
    assert (together_["same_person"], [edge["verdict"] for edge in together_["path"]]) == (True, ["joins"])


def test_a_supernode_is_named_and_remains_usable(ruled: Explained, start_store: StartStore, open_api: OpenApi) -> None:
    api = open_api(start_store(RULED))
    answer = api.get("/v1/identity:supernodes?limit=1").json()
    (kiosk,) = [one for one in api.get("/v1/identity:supernodes").json()["supernodes"] if one["namespace"] == "anonymous_id"]
    assert (kiosk["linked"], kiosk["isolated"], kiosk["linked_by_namespace"]) == (2, "shared", {"user_id": 2})
    assert len(answer["supernodes"]) == 1 and answer["isolated"] == {"blocked": 0, "shared": 1}
    profile = api.get("/v1/profiles/anonymous_id:kiosk").json()
    assert profile["id"] == api.get("/v1/identity/anonymous_id:kiosk").json()["person_id"]


def test_no_answer_shows_an_identifier_in_clear_or_a_whole_token(ruled: Explained, start_store: StartStore, open_api: OpenApi) -> None:
    api = open_api(start_store(RULED))
    for path in ("/v1/identity/user_id:ann", "/v1/identity:why?a=user_id:ann&b=user_id:bob", "/v1/identity:supernodes"):
        text = api.get(path).text
        assert not any(secret in text for secret in ("ann", "x.org", "bob", "kiosk", *(one.partition(":")[2] for one in (ANN, BOB, MAIL, KIOSK))))
        assert KIOSK[: len("anonymous_id:") + 8] in text


def test_unknown_and_forbidden_are_the_same_bytes_and_without_a_key_nothing_is_answered(ruled: Explained, start_store: StartStore, open_api: OpenApi) -> None:
    api = open_api(start_store(RULED))
    unknown = [
        "/v1/identity/user_id:nobody", "/v1/identity/passport:1", "/v1/identity/user_id:", "/v1/identity", "/v1/identity:why?a=user_id:ann&b=user_id:nobody",
        "/v1/identity:why?a=x&b=user_id:ann", "/v1/nothing",
    ]  # fmt: skip
    answers = [api.get(path, follow_redirects=False) for path in unknown]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}
    for path in ("/v1/identity/user_id:ann", "/v1/identity:why?a=user_id:ann&b=user_id:bob", "/v1/identity:supernodes"):
        assert api.get(path, headers={"Authorization": "Bearer wk_test"}).status_code == 401
        assert api.get(path, headers={"Authorization": "Bearer ak_test"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v1/identity/user_id:ann?as_of=2025-01-01", "unknown_parameter"), ("/v1/identity/user_id:ann?limit=0", "wrong_shape"),
        ("/v1/identity/user_id:ann?limit=10001", "wrong_shape"), ("/v1/identity:why?a=user_id:ann", "wrong_shape"),
        ("/v1/identity:why?a=user_id:ann&b=user_id:bob&b=user_id:bob", "unknown_parameter"), ("/v1/identity:supernodes?limit=x", "wrong_shape"),
    ],
)  # fmt: skip
def test_a_question_of_another_shape_is_refused_without_repeating_it(ruled: Explained, start_store: StartStore, open_api: OpenApi, path: str, code: str) -> None:
    answer = open_api(start_store(RULED)).get(path)
    assert (answer.status_code, answer.json()["error"]) == (400, code)
    assert "user_id:ann" not in answer.text


@pytest.mark.parametrize("path", ["/v1/identity/user_id:ann", "/v1/identity:why?a=user_id:ann&b=user_id:bob", "/v1/identity:supernodes"])
def test_a_receipt_gives_the_same_bytes_after_more_was_published(ruled: Explained, start_store: StartStore, open_api: OpenApi, path: str) -> None:
    store = start_store(RULED)
    api = open_api(store)
    answer = api.get(path)
    ruled.write(*together((ANN, node("phone", "1")), (BOB, MAIL)))
    ruled.publish(cut=3)
    wait_until(lambda: store.status().manifest_id == 2)
    assert api.get(path).content != answer.content
    again = api.get(f"/v1/receipts/{answer.json()['receipt']['id']}:replay")
    assert (again.status_code, again.content) == (200, answer.content)


def test_what_is_decided_explains_itself_and_its_receipt_gives_the_same_bytes(ruled: Explained, start_store: StartStore, open_api: OpenApi) -> None:
    api = open_api(start_store(RULED))

    def decide(kind: str, b: str) -> None:
        answer = api.post("/v1/decisions", json={"kind": kind, "a": "user_id:ann", "b": b}, headers={"Authorization": f"Bearer {KEYS.admin_key}"})
        assert (answer.status_code, answer.json()["is_served"]) == (201, True)

    def why(b: str) -> Response:
        return api.get("/v1/identity:why", params={"a": "user_id:ann", "b": b})

    decide("join", "user_id:bob")
    one = why("user_id:bob")
    assert one.json()["same_person"] and "decision 1" in one.json()["because"] and one.json()["receipt"]["decisions"] == 1
    assert [(edge["layer"], edge["decision"], edge["first_seen"]) for edge in one.json()["path"]] == [("decision", 1, None)]
    freed = api.get("/v1/identity/anonymous_id:kiosk").json()
    assert (freed["identifier"]["isolated"], freed["person_id"]) == (None, api.get("/v1/profiles/user_id:bob").json()["id"])
    assert freed["graph"]["counts"] == {"persons": 1, "nodes": 4, "edges": 3, "refused": 0, "decided": 1}
    decide("part", "email:ann@x.org")
    (parted,) = why("email:ann@x.org").json()["path"]
    assert (parted["verdict"], parted["reason"], parted["decision"]) == ("refused", "parted", 2) and "decision 2" in parted["because"]
    assert why("user_id:bob").content != one.content
    assert api.get(f"/v1/receipts/{one.json()['receipt']['id']}:replay").content == one.content


def test_nothing_is_explained_that_is_not_what_is_served(ruled: Explained, start_store: StartStore, open_api: OpenApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's base, say, has been damaged: it takes the mail for another person's."""
    store = start_store(RULED)
    pins = store.pin([MAIL, BOB])
    assert pins[0] and pins[1]
    monkeypatch.setattr(store, "pin", lambda nodes: [pins[1] for _ in nodes])
    answer = open_api(store).get("/v1/identity/email:ann@x.org")
    assert (answer.status_code, answer.json()["error"]) == (503, "not_explained")


def test_the_description_of_the_api_shows_what_an_explanation_is_made_of(ruled: Explained, start_store: StartStore, open_api: OpenApi) -> None:
    schemas = open_api(start_store(RULED)).get("/openapi.json").json()["components"]["schemas"]
    assert {"Explanation", "Why", "SuperNodes", "Edge", "Node", "Change", "ReceiptBlock"} <= schemas.keys()
    assert set(schemas["Edge"]["properties"]) >= {"verdict", "reason", "because", "seen_count", "first_seen", "layer"}
