"""Decisions over HTTP: persons are joined and parted at once and for good, everything they had comes back when a decision is withdrawn, receipts follow."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from millrace.definitions import Definitions
from millrace.identity.decisions import read_decisions
from millrace.identity.nodes import node_of
from millrace.identity.resolution import resolve
from millrace.tables.catalogue import EDGES
from serving.store.store import Store
from tests.serving.api.conftest import KEYS, OpenApi
from tests.serving.store.by_hand import SECRET, TRAITS, HandMade, Order, Placed, definitions_of, edges_of
from tests.serving.store.stores import StartStore, wait_until

RULED = Definitions(views=definitions_of(TRAITS).views)
ANN, BOB, MAIL, DEVICE = (node_of(*key.split(":"), SECRET) or "" for key in ("user_id:ann", "user_id:bob", "email:a@x.org", "anonymous_id:d"))
Decide = Callable[..., dict[str, Any]]


class Decided(HandMade):
    """Batch versions whose persons follow rules and decisions."""

    def nodes(self, placed: list[Placed]) -> pa.Table:
        edges = pa.Table.from_pylist(edges_of(placed), schema=EDGES)
        return resolve(edges, self.definitions.identity.compiled(SECRET), read_decisions(self.tables)).nodes

    def decided(self) -> int:
        return read_decisions(self.tables).number


@pytest.fixture
def tenant(tmp_path: Any) -> Decided:
    return Decided(tmp_path, RULED)


@pytest.fixture
def store(tenant: Decided, start_store: StartStore) -> Store:
    tenant.write(Order(ANN, also=(MAIL,), revenue="1"), Order(BOB, revenue="2"), Order(DEVICE, revenue="4"), Order(ANN, also=(DEVICE,), revenue="8"))
    return start_store(RULED)


@pytest.fixture
def api(store: Store, open_api: OpenApi) -> TestClient:
    return open_api(store)


@pytest.fixture
def decide(api: TestClient) -> Decide:
    def post(kind: str, *, status: int = 201, **asked: Any) -> dict[str, Any]:
        answer = api.post("/v1/decisions", json={"kind": kind, **asked}, headers={"Authorization": f"Bearer {KEYS.admin_key}"})
        assert answer.status_code == status, answer.text
        return answer.json()

    return post


def people(api: TestClient) -> dict[str, tuple[int, str]]:
    """Identifiers and spend of everybody's person; each answer is computed again from its receipt."""
    found = {}
    for key in ("user_id:ann", "user_id:bob", "email:a@x.org", "anonymous_id:d"):
        answer = api.get(f"/v1/profiles/{key}")
        again = api.get(f"/v1/receipts/{answer.json()['receipt']['id']}:replay")
        assert again.content == answer.content, again.text
        found[key.partition(":")[2]] = (len(answer.json()["identifiers"]), answer.json()["traits"]["spend"]["value"])
    return found


SEPARATE = {"ann": (3, "13"), "bob": (1, "2"), "a@x.org": (3, "13"), "d": (3, "13")}


def test_a_join_makes_two_users_one_person_and_its_withdrawal_restores_both(api: TestClient, decide: Decide) -> None:
    assert people(api) == SEPARATE
    joined = decide("join", a="user_id:ann", b="user_id:bob", reason="ticket 4711")
    assert joined["is_served"] and joined["persons"]["a"] == joined["persons"]["b"]
    assert people(api) == dict.fromkeys(SEPARATE, (4, "15"))
    decide("withdraw", decision_id=joined["decision_id"])
    assert people(api) == SEPARATE


def test_a_part_after_a_merge_takes_events_and_traits_back_and_outlives_later_events_and_batches(
    tenant: Decided, store: Store, api: TestClient, decide: Decide
) -> None:
    decide("part", a="user_id:ann", b="email:a@x.org")
    parted = {"ann": (2, "13"), "bob": (1, "2"), "a@x.org": (1, "0"), "d": (2, "13")}
    assert people(api) == parted
    tenant.write(Order(ANN, also=(MAIL,), revenue="16"))
    wait_until(lambda: store.status().head == 2)
    assert people(api) == {**parted, "ann": (2, "29"), "d": (2, "29")}
    for cut in (1, 2):
        tenant.publish(cut=cut)
        wait_until(lambda cut=cut: store.status().cut == cut)
        assert people(api) == {**parted, "ann": (2, "29"), "d": (2, "29")}


def test_a_removed_identifier_joins_nobody_even_when_it_comes_again_late(tenant: Decided, store: Store, api: TestClient, decide: Decide) -> None:
    tenant.publish(cut=1)
    wait_until(lambda: store.status().manifest_id == 1)
    removed = decide("remove", a="anonymous_id:d")
    assert people(api) == {"ann": (2, "9"), "bob": (1, "2"), "a@x.org": (2, "9"), "d": (1, "4")}
    tenant.write(Order(BOB, also=(DEVICE,)))
    wait_until(lambda: store.status().head == 2)
    assert {name: found[0] for name, found in people(api).items()} == {"ann": 2, "bob": 1, "a@x.org": 2, "d": 1}
    decide("withdraw", decision_id=removed["decision_id"])
    assert {name: found[0] for name, found in people(api).items()} == {"ann": 2, "bob": 1, "a@x.org": 2, "d": 1}, "two users share the device now"


def test_a_device_that_two_users_share_is_his_whom_a_decision_gives_it_to(tenant: Decided, store: Store, api: TestClient, decide: Decide) -> None:
    tenant.write(Order(BOB, also=(DEVICE,), revenue="0"))
    tenant.publish(cut=2)
    wait_until(lambda: store.status().manifest_id == 1)
    assert people(api)["d"] == (1, "4")
    decide("join", a="user_id:bob", b="anonymous_id:d")
    assert people(api) == {"ann": (2, "9"), "bob": (2, "6"), "a@x.org": (2, "9"), "d": (2, "6")}


def test_what_contradicts_or_repeats_a_decision_is_refused_with_its_number(decide: Decide) -> None:
    decide("join", a="user_id:ann", b="user_id:bob")
    assert decide("join", a="user_id:bob", b="user_id:ann", status=409)["error"] == "nothing_new"
    decide("part", a="email:a@x.org", b="user_id:bob")
    refused = decide("join", a="email:a@x.org", b="user_id:ann", status=409)
    assert refused["error"] == "contradiction" and "decision 2 parts" in refused["message"]
    assert decide("withdraw", decision_id=9, status=409)["error"] == "no_such_decision"
    assert decide("join", a="user_id:ann", b="user_id:ann", status=400)["error"] == "same_identifier"
    assert decide("part", a="user_id:ann", b="user_id:nobody", status=422)["error"] == "unknown_identifier"
    assert "join needs a and b" in decide("join", a="user_id:ann", status=400)["message"]


def test_the_newest_about_a_pair_counts_and_the_list_says_which_stand(api: TestClient, decide: Decide) -> None:
    decide("join", a="user_id:ann", b="user_id:bob")
    decide("part", a="user_id:ann", b="user_id:bob")
    decide("remove", a="email:a@x.org")
    decide("withdraw", decision_id=3)
    listed = api.get("/v1/decisions", headers={"Authorization": f"Bearer {KEYS.admin_key}"}).json()["decisions"]
    assert [(one["decision_id"], one["kind"], one["stands"]) for one in listed[1:]] == [(3, "remove", False), (2, "part", True), (1, "join", False)]
    assert listed[3]["a"]["namespace"] == "user_id" and listed[3]["a"]["value"].endswith("•••")
    assert people(api) == SEPARATE


def test_only_the_admin_key_decides(api: TestClient) -> None:
    unknown = api.get("/v1/nothing")
    for answer in (api.post("/v1/decisions", json={"kind": "remove", "a": "user_id:ann"}), api.get("/v1/decisions")):
        assert (answer.status_code, answer.content) == (404, unknown.content)
