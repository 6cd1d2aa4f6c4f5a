"""Segments over HTTP: definitions, members, counts, history, overlap, previews, lookups, and why somebody is in one."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from millrace.definitions import Definitions
from millrace.identity.nodes import node_of
from millrace.keys import TenantKeys
from serving.api.app import build_app
from serving.segments.watching import Declared
from tests.serving.api.conftest import KEYS, OpenApi
from tests.serving.segments.hand_made import DAY_US, Follow
from tests.serving.store.by_hand import SECRET, TRAITS, HandMade, Order
from tests.serving.store.stores import StartStore

MICRO = timedelta(microseconds=1)
RULES = {
    "buyers": {"rule": "orders >= 2", "kind": "transactional", "description": "Bought twice"},
    "busy": "orders_3h >= 1 and (last_store = 'north' or spend_2d >= 100)",
    "busy_buyers": "buyers and busy",
    "nobody": "orders between 1000 and 2000",
}


def node(value: str) -> str:
    return node_of("user_id", value, SECRET) or ""


def declared(rules: dict[str, object] = RULES) -> Definitions:
    rules_of_identity = {"namespaces": {name: {"shared_from": None} for name in ("user_id", "email", "phone", "anonymous_id")}}
    return Definitions.model_validate({"views": {"person": {"key": "node", "traits": TRAITS}}, "identity": rules_of_identity, "segments": rules})


@pytest.fixture
def follow(tmp_path: Path, tenant: HandMade, builds_in_process: None) -> Follow:
    """One that has followed and ended: a base is open once in a process."""
    tenant.definitions = declared()
    tenant.write(Order(node("ann")), Order(node("ann"), store="south"), Order(node("bob"), store="south"), Order(node("cid")))
    tenant.publish(cut=1)
    tenant.write(Order(node("cid"), store="north"))
    found = Follow(tmp_path, definitions=declared(), declared=Declared(declared()))
    found.settle()
    found.close()
    return found


@pytest.fixture
def api(follow: Follow, start_store: StartStore, open_api: OpenApi) -> TestClient:
    return open_api(start_store(declared()))


def test_the_list_has_rules_sizes_and_where_they_stand(api: TestClient) -> None:
    answer = api.get("/v1/segments").json()
    assert {one["id"]: (one["count"], one["kind"], one["pending"]) for one in answer["segments"]} == {
        "buyers": (2, "transactional", False), "busy": (1, None, False), "busy_buyers": (1, None, False), "nobody": (0, None, False),
    }  # fmt: skip
    assert (answer["position"]["head"], answer["position"]["complete"], answer["position"]["problem"]) == (2, True, None)


def test_members_come_in_pages_and_as_arrow(api: TestClient) -> None:
    first = api.get("/v1/segments/buyers/members?limit=1").json()
    second = api.get(f"/v1/segments/buyers/members?limit=1&after={first['next']}").json()
    assert (len(first["members"]), len(second["members"]), second["next"]) == (1, 1, None)
    streamed = api.get("/v1/segments/buyers/members", headers={"Accept": "application/vnd.apache.arrow.stream"})
    table = pa.ipc.open_stream(streamed.content).read_all()
    assert table["person_id"].to_pylist() == [page["members"][0]["person_id"] for page in (first, second)]
    ids = {api.get(f"/v1/profiles/user_id:{name}").json()["id"] for name in ("ann", "cid")}
    assert set(table["person_id"].to_pylist()) == ids


def test_count_history_and_overlap_agree(api: TestClient) -> None:
    assert api.get("/v1/segments/busy/count").json()["count"] == 1
    assert api.get("/v1/segments:overlap?a=buyers&b=busy").json() | {"position": None} == {"a": 2, "b": 1, "both": 1, "either": 2, "position": None}
    days = api.get("/v1/segments/buyers/history").json()["days"]
    assert (days[0]["entered"], days[-1]["size"]) == (2, 2)


def test_members_of_the_past_are_those_whose_entry_was_true_then_and_no_exit_was(follow: Follow, start_store: StartStore, open_api: OpenApi) -> None:
    follow.follower = follow.start()
    follow.settle(follow.clock.now + DAY_US)
    follow.close()
    api = open_api(start_store(declared()))
    rows = [row for row in follow.rows() if row["segment"] == "busy"]
    assert [(row["change"], row["because"]) for row in rows] == [("entered", "definition"), ("left", "time")]
    entered, left = (row["at"] for row in rows)
    cid = api.get("/v1/profiles/user_id:cid").json()["id"]
    for at, there in ((entered - MICRO, []), (entered, [cid]), (left - MICRO, [cid]), (left, [])):
        asked = quote(at.isoformat())
        assert [one["person_id"] for one in api.get(f"/v1/segments/busy/members?as_of={asked}").json()["members"]] == there
        assert api.get(f"/v1/segments/busy/count?as_of={asked}").json()["count"] == len(there)
    arrow = api.get(f"/v1/segments/busy/members?as_of={quote(entered.isoformat())}", headers={"Accept": "application/vnd.apache.arrow.stream"})
    assert pa.ipc.open_stream(arrow.content).read_all().to_pylist() == [{"person_id": cid, "since": entered}]
    assert api.get(f"/v1/segments/never_was/members?as_of={quote(entered.isoformat())}").status_code == 404


def test_a_profile_names_its_segments_and_its_receipt_gives_the_same_bytes(api: TestClient) -> None:
    answer = api.get("/v1/profiles/user_id:cid")
    assert answer.json()["segments"] == ["busy", "busy_buyers", "buyers"]
    assert api.get(f"/v1/receipts/{answer.json()['receipt']['id']}:replay").content == answer.content


def test_a_receipt_outlives_its_rules_in_the_directory_while_a_version_keeps_them(follow: Follow, start_store: StartStore, open_api: OpenApi) -> None:
    store = start_store(declared())
    answer = open_api(store).get("/v1/profiles/user_id:cid")
    later = TestClient(build_app(store, KEYS, declared=Declared(declared({"buyers": "orders >= 3"}))), headers={"Authorization": f"Bearer {KEYS.read_key}"})
    assert later.get(f"/v1/receipts/{answer.json()['receipt']['id']}:replay").content == answer.content


def test_a_receipt_of_rules_that_nobody_keeps_has_expired(follow: Follow, start_store: StartStore) -> None:
    store = start_store(declared())
    unpublished, later = (
        TestClient(build_app(store, KEYS, declared=Declared(declared(rules))), headers={"Authorization": f"Bearer {KEYS.read_key}"})
        for rules in ({"buyers": "orders >= 3"}, {"buyers": "orders >= 4"})
    )
    receipt = unpublished.get("/v1/profiles/user_id:cid").json()["receipt"]["id"]
    assert unpublished.get(f"/v1/receipts/{receipt}:replay").status_code == 200
    assert later.get(f"/v1/receipts/{receipt}:replay").status_code == 410


def test_the_description_of_the_api_has_every_route_of_segments(api: TestClient) -> None:
    paths = {path for path in api.get("/openapi.json").json()["paths"] if "segments" in path}
    assert paths == {
        "/v1/segments", "/v1/segments:preview", "/v1/segments:overlap", "/v1/segments:lookup", "/v1/segments/{segment}/members", "/v1/segments/{segment}/count",
        "/v1/segments/{segment}/history", "/v1/profiles/{key}/segments/{segment}/why",
    }  # fmt: skip


def test_a_lookup_answers_in_order(api: TestClient) -> None:
    answer = api.post("/v1/segments:lookup", json={"profiles": ["user_id:bob", "user_id:nobody", "user_id:ann"]}).json()
    assert [(one["found"], one.get("segments")) for one in answer["profiles"]] == [(True, []), (False, None), (True, ["buyers"])]
    assert (answer["head"], answer["complete"]) == (2, True)


def test_a_preview_finds_whom_a_rule_would_find(api: TestClient) -> None:
    answer = api.post("/v1/segments:preview", json={"rule": "orders = 1 or busy_buyers"}).json()
    assert (answer["count"], answer["persons"], len(answer["examples"])) == (2, 3, 2)


def test_a_preview_of_a_wrong_rule_says_what_is_wrong_and_where(api: TestClient) -> None:
    answer = api.post("/v1/segments:preview", json={"rule": "order >= 1"})
    assert answer.status_code == 400
    assert "at 1" in answer.json()["message"] and "orders" in answer.json()["message"]


def test_why_shows_each_clause_with_its_truth_and_the_traits_it_looked_at(api: TestClient) -> None:
    answer = api.get("/v1/profiles/user_id:bob/segments/busy_buyers/why").json()
    assert answer["holds"] is False
    buyers, busy = answer["clause"]["parts"]
    assert (buyers["text"], buyers["holds"], buyers["parts"][0]["text"]) == ("buyers", False, "orders >= 2")
    assert buyers["parts"][0]["traits"] == [{"name": "orders", "value": 1, "layer": "batch", "as_of": "2025-01-10T12:30:00Z"}]
    recent, either = busy["parts"][0]["parts"]
    assert (recent["text"], recent["holds"]) == ("orders_3h >= 1", True)
    assert [(part["text"], part["holds"]) for part in either["parts"]] == [("last_store = 'north'", False), ("spend_2d >= 100", False)]


def test_why_of_someone_in_it_says_when_that_ends_by_itself(api: TestClient) -> None:
    answer = api.get("/v1/profiles/user_id:cid/segments/busy/why").json()
    assert (answer["holds"], answer["changes_at"]) == (True, "2025-01-10T16:00:00Z")
    assert answer["clause"]["parts"][0]["traits"][0]["layer"] == "merged"


@pytest.mark.parametrize(
    "path", ["segments/none/members", "segments/none/count", "segments/none/history", "segments:overlap?a=buyers&b=none", "profiles/user_id:ann/segments/none/why", "profiles/user_id:x/segments/busy/why"]
)
def test_unknown_segments_and_people_look_like_any_unknown_path(api: TestClient, path: str) -> None:
    answer = api.get(f"/v1/{path}")
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["segments", "segments/buyers/members", "segments/buyers/count", "segments/buyers/history", "segments:overlap?a=buyers&b=busy"])
def test_without_a_key_nothing_is_told(follow: Follow, start_store: StartStore, path: str) -> None:
    keys: TenantKeys = KEYS
    assert TestClient(build_app(start_store(declared()), keys)).get(f"/v1/{path}").status_code == 401


def test_an_unknown_parameter_is_refused(api: TestClient) -> None:
    assert api.get("/v1/segments/buyers/members?page=2").status_code == 400


def test_without_a_follower_the_list_says_so(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.definitions = declared()
    tenant.write(Order(node("ann")))
    position = open_api(start_store(declared())).get("/v1/segments").json()["position"]
    assert (position["complete"], "jobs.follow_segments" in position["problem"]) == (False, True)
