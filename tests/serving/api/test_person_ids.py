"""Ids of persons go on resolving: after merges, splits, publishes and rollbacks, whoever holds them now."""

import pytest
from fastapi.testclient import TestClient

from millrace.identity.nodes import person_id
from serving.store.store import Store
from tests.serving.api.conftest import OpenApi
from tests.serving.api.test_decisions import ANN, BOB, DEVICE, MAIL, RULED, Decide, Decided, decide, tenant
from tests.serving.store.by_hand import Order
from tests.serving.store.stores import StartStore, wait_until

__all__ = ["decide", "tenant"]


@pytest.fixture
def store(tenant: Decided, start_store: StartStore) -> Store:
    tenant.write(Order(ANN, also=(MAIL,), revenue="1"), Order(DEVICE, revenue="4"))
    tenant.write(Order(BOB, revenue="2"))
    return start_store(RULED)


@pytest.fixture
def api(store: Store, open_api: OpenApi) -> TestClient:
    return open_api(store)


def asked(api: TestClient, anchor: str) -> tuple[str, str | None, str]:
    """The person who answers to the id that a node gives, what he says of it, and his spend; the answer is computed again from its receipt."""
    found = api.get(f"/v1/profiles/person_id:{person_id(anchor)}")
    assert found.status_code == 200, found.text
    again = api.get(f"/v1/receipts/{found.json()['receipt']['id']}:replay")
    assert again.content == found.content
    return found.json()["id"], found.json().get("asked_id"), found.json()["traits"]["spend"]["value"]


def test_an_id_answers_as_any_identifier_of_the_person_does(tenant: Decided, store: Store, api: TestClient) -> None:
    first, second = sorted((ANN, MAIL))
    for cut in (None, 1, 2):
        if cut:
            tenant.publish(cut=cut)
            wait_until(lambda cut=cut: store.status().cut == cut)
        assert asked(api, first) == (person_id(first), None, "1")
        assert asked(api, second) == (person_id(first), person_id(second), "1")
        assert asked(api, BOB) == (person_id(BOB), None, "2")


def test_an_id_that_was_merged_away_answers_with_the_person_that_holds_it_now(tenant: Decided, store: Store, api: TestClient) -> None:
    tenant.publish(cut=2)
    wait_until(lambda: store.status().cut == 2)
    tenant.write(Order(BOB, also=(DEVICE,), revenue="8"))
    for cut in (2, 3):
        if cut == 3:
            tenant.publish(cut=3)
        wait_until(lambda cut=cut: (store.status().head, store.status().cut) == (3, cut))
        assert asked(api, DEVICE) == (person_id(DEVICE), None, "14")
        assert asked(api, BOB) == (person_id(DEVICE), person_id(BOB), "14")
    back = tenant.rollback(tenant.manifests[0])
    wait_until(lambda: store.status().manifest_id == back.manifest_id)
    assert asked(api, BOB)[:2] == (person_id(DEVICE), person_id(BOB))


def test_after_a_split_the_id_stays_with_the_side_of_the_identifier_it_is_named_after(tenant: Decided, store: Store, api: TestClient, decide: Decide) -> None:
    anchor, other = sorted((ANN, MAIL))
    decide("part", a="user_id:ann", b="email:a@x.org")
    for cut in (0, 2):
        if cut:
            tenant.publish(cut=cut)
            wait_until(lambda cut=cut: store.status().cut == cut)
        assert asked(api, anchor)[:2] == (person_id(anchor), None)
        assert asked(api, other)[:2] == (person_id(other), None)


def test_an_id_of_nobody_is_not_found_and_many_are_looked_up_at_once(tenant: Decided, store: Store, api: TestClient) -> None:
    tenant.publish(cut=2)
    wait_until(lambda: store.status().cut == 2)
    unknown = api.get("/v1/nothing")
    for key in ("p_000000000000000000000000", "p_", "", "user_id:ann", "p_\u00e9", "p_" + "0" * 600):
        assert api.get(f"/v1/profiles/person_id:{key}").content == unknown.content
    keys = [f"person_id:{person_id(BOB)}", "person_id:p_0", "user_id:bob", f"person_id:{person_id(max(ANN, MAIL))}"]
    found = api.post("/v1/profiles:lookup", json={"profiles": keys}).json()["profiles"]
    assert [one["found"] for one in found] == [True, False, True, True] and found[0]["id"] == found[2]["id"]
    assert [one.get("asked_id") for one in found] == [None, None, None, person_id(max(ANN, MAIL))]


def test_thousands_of_ids_after_the_cut_are_found(tenant: Decided, store: Store, api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.store.persons.NAMED_AT_ONCE", 7)
    nodes = [f"anonymous_id:{number:032d}" for number in range(100)]
    tenant.write(*(Order(node, revenue="1") for node in nodes))
    wait_until(lambda: store.status().head == 3)
    assert [asked(api, node)[0] for node in (nodes[0], nodes[50], nodes[99])] == [person_id(node) for node in (nodes[0], nodes[50], nodes[99])]
