"""What other rules would do is told before they are applied, and is what a build under them does."""

import json
from pathlib import Path

import pytest
import yaml

from batch.identity_changes import compared
from batch.plan import plan_identity
from jobs import plan_identity as job
from millrace.errors import NothingToDo
from millrace.identity.rules import IdentityRules
from tests.batch.test_profiles import Ruled
from tests.serving.store.by_hand import Order

ANN, BOB, MAIL, DEVICE = "user_id:ann", "user_id:bob", "email:m", "anonymous_id:d"
LOOSE = {"namespaces": {name: {"shared_from": None} for name in ("user_id", "email", "phone", "anonymous_id")}}


@pytest.fixture
def tenant(tmp_path: Path) -> Ruled:
    tenant = Ruled(tmp_path)
    tenant.write(Order(ANN, also=(MAIL,)), Order(BOB, also=(MAIL,)))
    tenant.publish(cut=1)
    tenant.write(Order(ANN, also=(DEVICE,)))
    return tenant


def test_a_plan_says_who_would_be_merged_and_what_it_says_is_what_the_rules_then_do(tenant: Ruled) -> None:
    plan = plan_identity(tenant.tables, IdentityRules.model_validate(LOOSE))
    assert (plan.head, plan.persons_before, plan.persons_after, plan.refused) == (2, 3, 1, {})
    assert plan.counts["nodes_freed"] == 1 and plan.counts["persons_ended"] == 2
    (merged,) = plan.samples["merged"]
    assert len(merged["identifiers"]) == 4 and len({one["person"] for one in merged["identifiers"]}) == 3
    before = tenant.tables.read("batch/nodes")
    tenant.publish(cut=2)
    assert plan_identity(tenant.tables, tenant.definitions.identity).counts == compared(before, before)[1], "the rules that hold change nothing"


def test_a_plan_of_stricter_rules_says_who_would_be_split(tenant: Ruled) -> None:
    strict = {"namespaces": {name: {"limit": 1} if name == "anonymous_id" else {} for name in LOOSE["namespaces"]}}
    tenant.write(Order(ANN, also=("anonymous_id:e",)))
    plan = plan_identity(tenant.tables, IdentityRules.model_validate(strict))
    assert plan.refused["limit"] == 1
    assert [len(person["identifiers"]) for person in plan.samples["split"]] == [3]


def test_the_job_prints_the_plan_and_writes_nothing(tenant: Ruled, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "proposed"
    folder.mkdir()
    (folder / "views.yml").write_text(yaml.safe_dump({"person": {"key": "node", "traits": {"orders": {"op": "count"}}}}), encoding="utf-8")
    (folder / "identity.yml").write_text(yaml.safe_dump(LOOSE, sort_keys=False), encoding="utf-8")
    versions = {path: len(list(path.iterdir())) for path in tmp_path.rglob("_delta_log")}
    where = ["--root", str(tmp_path), "--tenant", "t", "--definitions", str(folder)]
    assert job.main(where) == 0
    said = capsys.readouterr().out
    assert "3 persons now, 1 under these rules" in said and "merged p_" in said and "ann" not in said
    assert job.main([*where, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["persons_after"] == 1
    assert versions == {path: len(list(path.iterdir())) for path in tmp_path.rglob("_delta_log")}


def test_before_the_first_publish_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    with pytest.raises(NothingToDo, match="no batch version is published yet"):
        plan_identity(Ruled(tmp_path).tables, IdentityRules())
