"""What changed definitions would do is said before anybody applies them: who enters and leaves, what is filled back at what cost, what stands on what."""

import json
from pathlib import Path

import pytest

from jobs import plan_definitions
from millrace.definitions import Definitions
from millrace.identity.nodes import person_id
from serving.segments.planning import SegmentChange, TraitChange
from serving.segments.planning import plan_definitions as plan_of
from tests.serving.store.by_hand import SECRET, TRAITS, HandMade, Order
from tests.serving.store.stores import StartStore, builds_in_process, start_store, tenant

__all__ = ["builds_in_process", "start_store", "tenant"]
ANN, BOB, CID = "user_id:ann", "user_id:bob", "user_id:cid"
LARGEST = {"op": "max", "event": "Order", "value": "properties.revenue"}
RULES = {"buyers": "orders >= 2", "twice": "buyers and spend > 0", "north": "last_store = 'north'"}


def definitions(rules: dict[str, str], **traits: dict[str, object]) -> Definitions:
    return Definitions.model_validate({"views": {"person": {"key": "node", "traits": TRAITS | traits}}, "segments": rules})


def test_a_changed_rule_says_who_enters_and_leaves_and_what_follows(tenant: HandMade, start_store: StartStore) -> None:
    tenant.definitions = definitions(RULES)
    tenant.write(Order(ANN), Order(ANN), Order(BOB), Order(CID, store="south"))
    tenant.publish(cut=1)
    tenant.write(Order(CID, store="south"), Order(CID, store="south"))
    plan = plan_of(start_store(tenant.definitions), definitions(RULES | {"buyers": "orders = 1 or orders >= 3"}))
    moved = {"entering": [person_id(BOB)], "leaving": [person_id(ANN)]}
    assert plan.segments == [
        SegmentChange("buyers", "changed", [], ["twice"], entering=1, leaving=1, staying=1, samples=moved),
        SegmentChange("twice", "follows", [], [], entering=1, leaving=1, staying=1, samples=moved),
    ]
    assert (plan.manifest_id, plan.head, plan.persons, plan.traits, plan.log_rows, plan.identity) == (1, 2, 3, [], 0, False)


def test_a_segment_that_goes_is_left_by_all_and_a_new_one_entered(tenant: HandMade, start_store: StartStore) -> None:
    tenant.definitions = definitions(RULES)
    tenant.write(Order(ANN), Order(ANN), Order(BOB))
    tenant.publish(cut=1)
    others = {"buyers": RULES["buyers"], "twice": RULES["twice"], "south": "last_store = 'south' or orders = 1"}
    plan = plan_of(start_store(tenant.definitions), definitions(others), samples=1)
    assert [(one.name, one.change, one.entering, one.leaving, len(one.samples["leaving"])) for one in plan.segments] == [("north", "gone", 0, 2, 1), ("south", "new", 1, 0, 0)]


def test_a_new_trait_names_its_states_its_cost_and_the_segments_that_wait_for_it(tenant: HandMade, start_store: StartStore) -> None:
    tenant.definitions = definitions(RULES)
    tenant.write(Order(ANN), Order(BOB))
    tenant.publish(cut=1)
    after = definitions(RULES | {"rich": "largest > 100 and buyers"}, largest=LARGEST, orders_again={"op": "count", "event": "Order"})
    plan = plan_of(start_store(tenant.definitions), after)
    assert plan.traits == [TraitChange("largest", "new", ["max_properties_revenue__order"], ["rich"]), TraitChange("orders_again", "new", [], [])]
    assert [(one.name, one.change, one.waits_for, one.entering) for one in plan.segments] == [("rich", "new", ["largest"], 0)]
    assert plan.log_rows == 2


def test_the_command_prints_the_plan(tenant: HandMade, builds_in_process: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tenant.definitions = definitions(RULES)
    tenant.write(Order(ANN), Order(ANN), Order(BOB))
    tenant.publish(cut=1)
    (tmp_path / "t" / "keys.json").write_text(json.dumps({"write_key": "w", "read_key": "r", "admin_key": "a", "token_key": SECRET.hex()}), encoding="utf-8")
    proposed = tmp_path / "proposed"
    proposed.mkdir()
    after = definitions({"buyers": "orders >= 1", "north": RULES["north"]}, largest=LARGEST).model_dump(mode="json", exclude_defaults=True)
    (proposed / "views.yml").write_text(json.dumps(after["views"]), encoding="utf-8")
    (proposed / "segments.yml").write_text(json.dumps({name: one["rule"] for name, one in after["segments"].items()}), encoding="utf-8")
    assert plan_definitions.main(["--root", str(tmp_path), "--tenant", "t", "--definitions", str(proposed)]) == 0
    printed = capsys.readouterr().out
    assert "compared with manifest 1" in printed and "segment buyers: changed; 1 enter, 0 leave, 1 stay, of 2" in printed
    assert "trait largest: new; fills back max_properties_revenue__order" in printed and "segment twice: gone; 0 enter, 1 leave" in printed
    assert "the next build reads 3 rows of the log" in printed


def test_a_source_that_gets_a_term_changes_what_every_trait_counts(tenant: HandMade, start_store: StartStore) -> None:
    tenant.definitions = definitions(RULES)
    tenant.write(Order(ANN))
    tenant.publish(cut=1)
    after = Definitions.model_validate({"views": {"person": {"key": "node", "traits": TRAITS}}, "segments": RULES, "sources": {"dmp": {"party": "third", "retention": "30d"}}})
    plan = plan_of(start_store(tenant.definitions), after)
    assert plan.terms == {"dmp": (None, "30d")}
    assert {one.name for one in plan.traits} == set(TRAITS) and all(one.fills_back for one in plan.traits)
    assert plan.log_rows == 1
