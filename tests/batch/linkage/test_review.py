"""Linkage, review and what becomes of it, on a real broker, stream and tables: FEBRL 3's records as identify calls, half of them under a user id."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from batch.build import build
from batch.linkage.run import link_persons
from millrace.definitions import Definitions
from millrace.identity.nodes import node_of
from millrace.tables.catalogue import DECISIONS, LINK_CANDIDATES
from serving.api.app import build_app
from serving.store.store import Store
from tests.batch.linkage.labelled import febrl3
from tests.serving.store.stores import builds_in_process, wait_until
from tests.tenant import ORDERS, Tenant

__all__ = ["builds_in_process"]
pytestmark = [pytest.mark.stack, pytest.mark.spark]
RECORDS = 300
LABELLED = febrl3()
Pair = tuple[str, str]


def identifier_of(row: int) -> tuple[str, str]:
    return ("anonymousId", f"a{row}") if row % 2 else ("userId", f"u{row}")


def identify(row: int, traits: dict[str, Any]) -> dict[str, Any]:
    field, value = identifier_of(row)
    said = {name: traits[name] for name in LABELLED.kinds if traits[name] is not None}
    return {"type": "identify", "messageId": f"m{row}", field: value, "traits": said, "timestamp": "2025-01-01T00:00:00Z"}


@pytest.fixture
def linked(tenant: Tenant) -> Tenant:
    """A published batch version, and candidates of its persons."""
    section = {"enabled": True, "attributes": {f"traits.{name}": kind for name, kind in LABELLED.kinds.items()}}
    tenant.definitions = Definitions.model_validate({"views": ORDERS, "identity": {"linkage": section}})
    tenant.send(*(identify(row, traits) for row, traits in enumerate(LABELLED.records.slice(0, RECORDS).to_pylist())))
    tenant.run()
    build(tenant.spark, tenant.tables, tenant.definitions)
    link(tenant)
    return tenant


@pytest.fixture
def store(linked: Tenant, builds_in_process: None) -> Iterator[Store]:
    store = Store(linked.tables.root, linked.name, linked.definitions, secret=linked.keys.token_secret).start()
    assert store.wait_ready(60)
    yield store
    store.close()


def link(tenant: Tenant) -> set[Pair]:
    """The pairs that a run proposes."""
    link_persons(tenant.tables, tenant.definitions.identity.linkage)
    rows = tenant.tables.read(LINK_CANDIDATES)
    return set(zip(rows["a"].to_pylist(), rows["b"].to_pylist(), strict=True))


def test_linkage_then_review_then_accept_is_one_person_in_the_store_at_once_and_after_a_full_build(linked: Tenant, store: Store) -> None:
    api = TestClient(build_app(store, linked.keys), headers={"Authorization": f"Bearer {linked.keys.admin_key}"})
    proposed = {(row["a"], row["b"]): row for row in linked.tables.read(LINK_CANDIDATES).to_pylist()}
    open_ = api.get("/v1/identity:candidates", params={"verdict": "accepted", "limit": 500}).json()["candidates"]
    assert len(open_) > 5
    taken, refused = open_[0]["candidate_id"], open_[-1]["candidate_id"]

    said = [api.post(f"/v1/identity/candidates/{one}:{how}", json={"by": "r", "reason": "w"}) for one, how in ((taken, "accept"), (refused, "reject"))]

    assert [one.status_code for one in said] == [201, 201], [one.text for one in said]
    joined, parted = ((row["a"], row["b"]) for row in linked.tables.read(DECISIONS).sort_by("decision_id").to_pylist())
    assert {joined, parted} <= proposed.keys()
    keys = {node_of(namespace, value, linked.keys.token_secret): f"{namespace}:{value}" for namespace, value in map(as_key, range(RECORDS))}

    def check() -> None:
        persons = [api.get(f"/v1/profiles/{keys[node]}").json() for node in (*joined, *parted)]
        assert persons[0]["id"] == persons[1]["id"] and len(persons[0]["identifiers"]) >= 2
        assert persons[2]["id"] != persons[3]["id"]
        states = {one["candidate_id"]: one["state"] for one in api.get("/v1/identity:candidates", params={"state": "all", "limit": 500}).json()["candidates"]}
        assert (states.get(taken, "accepted"), states.get(refused, "rejected")) == ("accepted", "rejected")

    check()
    assert not link(linked) & {joined, parted}, "a run before the build knows what was decided"
    published = build(linked.spark, linked.tables, linked.definitions, full=True)
    wait_until(lambda: store.status().manifest_id == published.manifest_id)
    check()
    again = link(linked)
    assert again and not again & {joined, parted}, "nor does a run after it propose them again"


def as_key(row: int) -> tuple[str, str]:
    field, value = identifier_of(row)
    return ("anonymous_id" if field == "anonymousId" else "user_id"), value
