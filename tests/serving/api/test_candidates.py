"""The queue of persons who look alike, over HTTP: what is listed, what an answer does and what it cannot do."""

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from millrace.identity.nodes import node_of
from millrace.tables.catalogue import DECISIONS, LINK_CANDIDATES
from serving.store.store import Store
from tests.serving.api.conftest import KEYS, OpenApi
from tests.serving.api.test_decisions import ANN, BOB, DEVICE, MAIL, RULED, Decided, tenant
from tests.serving.store.by_hand import SECRET, Order
from tests.serving.store.stores import StartStore

__all__ = ["tenant"]
CARL, DORA = (node_of("user_id", name, SECRET) or "" for name in ("carl", "dora"))
ADMIN = {"Authorization": f"Bearer {KEYS.admin_key}"}
WHY = {"by": "reviewer 7", "reason": "same address on the form"}
Candidate = tuple[str, str, float, str]


def propose(tenant: Decided, *candidates: Candidate) -> None:
    rows = []
    for one, other, probability, verdict in candidates:
        a, b = sorted((one, other))
        evidence = json.dumps({"surname": "equal", "town": "close"})
        more = {"evidence": evidence, "model_version": "m", "manifest_id": 1, "scored_at": datetime(2025, 1, 10, tzinfo=UTC)}
        rows.append({"a": a, "b": b, "probability": probability, "verdict": verdict, **more})
    tenant.tables.replace(LINK_CANDIDATES, pa.Table.from_pylist(rows, schema=LINK_CANDIDATES.schema))


@pytest.fixture
def store(tenant: Decided, start_store: StartStore) -> Store:
    tenant.write(Order(ANN, also=(MAIL,), revenue="1"), Order(BOB, revenue="2"), Order(CARL, revenue="4"), Order(DORA, also=(DEVICE,), revenue="8"))
    propose(tenant, (ANN, BOB, 0.97, "accepted"), (BOB, CARL, 0.7, "review"), (ANN, CARL, 0.6, "review"), (ANN, DORA, 0.7, "rejected"))
    return start_store(RULED)


@pytest.fixture
def api(store: Store, open_api: OpenApi) -> TestClient:
    return open_api(store)


def listed(api: TestClient, **asked: Any) -> list[dict[str, Any]]:
    answer = api.get("/v1/identity:candidates", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["candidates"]


def say(api: TestClient, candidate: str, answer: str, *, status: int = 201, **body: str) -> dict[str, Any]:
    given = api.post(f"/v1/identity/candidates/{candidate}:{answer}", json=body or WHY, headers=ADMIN)
    assert given.status_code == status, given.text
    return given.json()


def ids(api: TestClient) -> dict[tuple[float, str], str]:
    return {(one["probability"], one["verdict"]): one["candidate_id"] for one in listed(api, state="all")}


def test_the_most_probable_come_first_with_evidence_and_masked_identifiers(api: TestClient) -> None:
    found = listed(api)
    assert [(one["probability"], one["state"], one["decision"]) for one in found] == [(p, "open", None) for p in (0.97, 0.7, 0.7, 0.6)]
    assert found[0]["evidence"] == {"surname": "equal", "town": "close"}
    assert {one["namespace"] for side in ("a", "b") for one in found[0][side]["identifiers"]} == {"user_id", "email"}
    text = json.dumps(found)
    assert not [word for word in ("ann", "carl", "a@x.org", ANN, BOB) if word in text]


def test_filters_and_pages_show_each_candidate_once(api: TestClient) -> None:
    assert [one["probability"] for one in listed(api, verdict="review")] == [0.7, 0.6]
    assert [one["verdict"] for one in listed(api, min_probability=0.65, max_probability=0.8)] and len(listed(api, min_probability=0.65, max_probability=0.8)) == 2
    seen, after = [], {}
    while True:
        page = api.get("/v1/identity:candidates", params={"limit": 1, **after}).json()
        seen += [one["candidate_id"] for one in page["candidates"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == [one["candidate_id"] for one in listed(api)] and len(set(seen)) == 4
    assert api.get("/v1/identity:candidates", params={"after": "x"}).json()["error"] == "bad_cursor"
    assert api.get("/v1/identity:candidates", params={"verdikt": "review"}).json()["error"] == "unknown_parameter"


def test_an_accepted_candidate_is_one_person_at_once_and_a_decision_with_who_and_why(tenant: Decided, api: TestClient) -> None:
    said = say(api, ids(api)[0.97, "accepted"], "accept")
    assert said["state"] == "accepted" and said["decision"]["is_served"] and len(set(said["decision"]["persons"].values())) == 1
    assert api.get("/v1/profiles/user_id:ann").json()["traits"]["spend"]["value"] == "3"
    (row,) = tenant.tables.read(DECISIONS).to_pylist()
    assert (row["kind"], {row["a"], row["b"]}, row["decided_by"], row["reason"]) == ("join", {ANN, BOB}, WHY["by"], WHY["reason"])
    assert api.get("/v1/decisions", headers=ADMIN).json()["decisions"][0]["by"] == WHY["by"]


def test_an_answer_that_stands_is_repeated_and_not_written_again(tenant: Decided, api: TestClient) -> None:
    candidate = ids(api)[0.97, "accepted"]
    first = say(api, candidate, "accept")
    propose(tenant)
    again = say(api, candidate, "accept", status=200)
    assert again["decision"]["decision_id"] == first["decision"]["decision_id"] == 1
    assert len(tenant.tables.read(DECISIONS)) == 1


def test_answers_settle_other_candidates_about_the_same_persons(api: TestClient) -> None:
    known = ids(api)
    say(api, known[0.97, "accepted"], "accept")
    say(api, known[0.7, "review"], "reject")
    states = {(one["probability"], one["verdict"]): (one["state"], (one["decision"] or {}).get("decision_id")) for one in listed(api, state="all")}
    assert states == {(0.97, "accepted"): ("accepted", 1), (0.7, "review"): ("rejected", 2), (0.6, "review"): ("rejected", 2), (0.7, "rejected"): ("open", None)}
    assert [one["verdict"] for one in listed(api)] == ["rejected"]
    assert len(listed(api, state="rejected")) == 2 and len(listed(api, state="accepted")) == 1


def test_what_contradicts_a_decision_is_refused_until_that_one_is_withdrawn(tenant: Decided, api: TestClient) -> None:
    known = ids(api)
    say(api, known[0.7, "review"], "reject")
    assert "decision 1 has rejected it" in say(api, known[0.7, "review"], "accept", status=409)["message"]
    say(api, known[0.97, "accepted"], "accept")
    assert say(api, known[0.6, "review"], "accept", status=409)["error"] == "contradiction"
    assert len(tenant.tables.read(DECISIONS)) == 2
    api.post("/v1/decisions", json={"kind": "withdraw", "decision_id": 1}, headers=ADMIN)
    assert say(api, known[0.7, "review"], "accept")["decision"]["decision_id"] == 4


def test_two_who_became_one_person_since_are_not_parted_by_a_late_answer(api: TestClient) -> None:
    known = ids(api)
    say(api, known[0.97, "accepted"], "accept")
    say(api, known[0.7, "review"], "accept")
    assert say(api, known[0.6, "review"], "reject", status=409)["error"] == "one_person"


def test_who_and_why_are_needed_and_only_the_admin_key_answers(api: TestClient) -> None:
    candidate = ids(api)[0.97, "accepted"]
    assert say(api, candidate, "accept", status=400, by="me")["error"] == "wrong_shape"
    unknown = api.get("/v1/nothing")
    for answer in (api.post(f"/v1/identity/candidates/{candidate}:accept", json=WHY), api.post("/v1/identity/candidates/c_0:accept", json=WHY, headers=ADMIN)):
        assert (answer.status_code, answer.content) == (404, unknown.content)
    assert api.get("/v1/identity:candidates", headers={"Authorization": "Bearer x"}).status_code == 401
