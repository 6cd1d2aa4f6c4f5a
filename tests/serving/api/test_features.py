"""Online features over HTTP."""

from millrace.identity.nodes import node_of
from tests.serving.api.conftest import OpenApi
from tests.serving.store.by_hand import SECRET, HandMade, Order
from tests.serving.store.stores import StartStore

ANN = node_of("user_id", "ann", SECRET) or ""


def test_features_come_in_the_order_of_the_keys_at_one_head(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN, revenue="2.50"))
    api = open_api(start_store())
    person = api.get("/v1/profiles/user_id:ann").json()["id"]
    asked = {"keys": ["user_id:nobody", "user_id:ann", f"person_id:{person}"], "features": ["person__spend", "person__orders", "person__last_store:30d"]}
    answer = api.post("/v1/features:online", json=asked).json()
    ann = {"found": True, "values": {"person__spend": "2.5", "person__orders": 1, "person__last_store": "north"}}
    assert answer["features"] == [{"found": False}, ann, ann]
    assert answer["receipt"] == {
        "as_of": "2025-01-10T12:30:00Z", "manifest_id": None, "cut": 0, "head": 1, "decisions": 0, "definitions_hash": tenant.definitions.hash, "complete": True,
    }  # fmt: skip


def test_values_are_those_of_the_profile(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN, revenue="2.50"), Order(ANN, at="2025-01-09T01:02:03Z", store="south"))
    api = open_api(start_store())
    traits = api.get("/v1/profiles/user_id:ann?as_of=2025-01-10T13:00:00Z").json()["traits"]
    asked = {"keys": ["user_id:ann"], "features": [f"person__{name}" for name in traits], "as_of": "2025-01-10T13:00:00Z"}
    assert api.post("/v1/features:online", json=asked).json()["features"][0]["values"] == {f"person__{name}": trait["value"] for name, trait in traits.items()}


def test_a_feature_that_is_not_served_is_refused_with_what_is_allowed(start_store: StartStore, open_api: OpenApi) -> None:
    answer = open_api(start_store()).post("/v1/features:online", json={"keys": [], "features": ["person__secret"]})
    assert (answer.status_code, answer.json()["error"]) == (400, "unknown_feature")
    assert "person__orders" in answer.json()["message"] and "secret" not in answer.json()["message"]


def test_without_a_right_key_nothing_is_answered(start_store: StartStore, open_api: OpenApi) -> None:
    asked = {"keys": ["user_id:ann"], "features": ["person__orders"]}
    assert open_api(start_store()).post("/v1/features:online", json=asked, headers={"Authorization": "Bearer wk_test"}).status_code == 401
