"""A rule changed in identity.yml, on the real stack: the plan says who would move, the full build moves exactly those, and every answer is the oracle's under the new rule."""

import random
import time
from pathlib import Path

import pyarrow.compute as pc
import pytest
import yaml
from kafka import KafkaProducer

from batch.plan import plan_identity
from millrace.definitions import load_definitions
from millrace.tables.catalogue import IDENTITY_CHANGES
from serving.store.base_building import build_base
from serving.store.base_folders import BaseFolders
from tests.laws.oracle import NOBODY, blocked_nodes, persons_of
from tests.laws.oracle_persons import Rules
from tests.laws.stack import StackTenant
from tests.tiers import SEED

pytestmark = [pytest.mark.stack, pytest.mark.spark]
BLOCKED = {**NOBODY, "anonymous_id": (*NOBODY["anonymous_id"], "a1")}
CHANGED = {
    "user_id": {"unique": True, "aliases": 1, "blocked": list(BLOCKED["user_id"])}, "email": {"shared_from": 3, "blocked": list(BLOCKED["email"])},
    "phone": {"shared_from": None, "blocked": list(BLOCKED["phone"])}, "anonymous_id": {"limit": 1, "blocked": list(BLOCKED["anonymous_id"])},
}  # fmt: skip


@pytest.mark.parametrize("number", range(3))
def test_a_changed_rule_is_planned_built_and_answered_as_if_it_had_always_been(number, spark, broker, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(BaseFolders, "_run_child", lambda folders, draft, manifest: build_base(folders._tables, manifest, draft))
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", linger_ms=0)
    chance = random.Random(f"{SEED}/{number}")
    tenant = StackTenant(spark, broker.bootstrap, tmp_path, name=f"rule{SEED}x{number}x{time.time_ns()}", chance=chance, producer=producer)
    try:
        check_change(tenant, tmp_path / "definitions")
    finally:
        tenant.close()
        producer.close()


def check_change(tenant: StackTenant, folder: Path) -> None:
    tenant.send(60)
    tenant.run_speed(25)
    tenant.build()
    tenant.send(20)
    tenant.run_speed(1_000)
    as_of = tenant.some_time()
    before = tenant.check_answers(as_of)
    folder.mkdir()
    (folder / "views.yml").write_text(yaml.safe_dump(tenant.views_of_file()), encoding="utf-8")
    (folder / "identity.yml").write_text(yaml.safe_dump({"namespaces": CHANGED}, sort_keys=False), encoding="utf-8")
    proposed = load_definitions(folder)

    plan = plan_identity(tenant.tables, proposed.identity, samples=10_000)

    assert tenant.check_answers(as_of) == before, "a plan changes nothing"
    served = build_of(tenant)
    tenant.definitions = proposed
    tenant.rules = Rules(most={"anonymous_id": 1}, shared_from={"email": 3, "phone": None}, blocked=blocked_nodes(BLOCKED, tenant.secret), aliases=1)
    tenant.run_speed(1_000)
    manifest = tenant.build()
    assert manifest.kind == "full" and manifest.proof["identity"]["cause"] == "edges and rules"
    tenant.check_answers(as_of)
    assert tenant.contents(tenant.build(full=True)) == tenant.contents(manifest)
    check_told(tenant, plan, served, manifest)


def build_of(tenant: StackTenant) -> dict[str, str]:
    """A build at the head under the rules of before: then rules alone move anybody. The person of each node by the oracle."""
    tenant.build()
    return {node: person for person, nodes in persons_of(tenant.log()[0].counted, tenant.rules).items() for node in nodes}


def check_told(tenant: StackTenant, plan, before: dict[str, str], manifest) -> None:
    """What the plan said, what the build wrote and what the oracle finds are the same moves."""
    people = persons_of(tenant.log()[0].counted, tenant.rules)
    after = {node: person for person, nodes in people.items() for node in nodes}
    rows = tenant.tables.read(IDENTITY_CHANGES, where=pc.field("manifest_id") == manifest.manifest_id).to_pylist()
    moves = {row["node"]: (row["person_before"], row["person_after"]) for row in rows if row["person_before"] != row["person_after"]}
    assert moves == {node: (before[node], after[node]) for node in before if before[node] != after[node]} and moves
    assert {name: count for name, count in manifest.proof["identity"].items() if name != "cause"} == plan.counts
    assert (plan.persons_before, plan.persons_after) == (len(set(before.values())), len(people))
    told = {kind: {one["person"] for one in persons} for kind, persons in plan.samples.items()}
    side = {kind: "person_after" if kind == "merged" else "person_before" for kind in told}
    assert told == {kind: {row[side[kind]] for row in rows if row["change"] == kind} for kind in told} and told
    assert {row["change"] for row in rows} - told.keys() <= {"renamed"}
