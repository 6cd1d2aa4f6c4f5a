"""What publishes change in who is who: rows that lead from version to version, whatever dies in between, and back again at a rollback."""

import tempfile
from itertools import pairwise
from pathlib import Path

import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from batch import identity_changes
from batch.identity_changes import Version, record_changes, tidy_changes
from batch.rollback import roll_back
from millrace.definitions import Definitions
from millrace.identity.nodes import NAMESPACES, person_id
from millrace.settings import BatchSettings
from millrace.tables.catalogue import BATCH_NODES, IDENTITY_CHANGES
from millrace.tables.manifest import Manifest, read_manifests
from tests.laws.edge_sets import edge_sets
from tests.serving.explain.ruled import ANN, BOB, DEVICE, MAIL, PHONE, VIEWS, Explained, together
from tests.serving.store.by_hand import PATIENT

LAX = Definitions.model_validate({"views": VIEWS, "identity": {"namespaces": {name: {"shared_from": None} for name in NAMESPACES}}})


@pytest.fixture
def tenant(tmp_path: Path) -> Explained:
    return Explained(tmp_path)


def changes(tenant: Explained, manifest_id: int) -> dict[str, tuple[str, str | None, str | None]]:
    rows = tenant.tables.read(IDENTITY_CHANGES, where=pc.field("manifest_id") == manifest_id).to_pylist()
    assert len({row["node"] for row in rows}) == len(rows)
    return {row["node"]: (row["change"], row["person_before"], row["person_after"]) for row in rows}


def causes(tenant: Explained) -> dict[int, str]:
    return {row["manifest_id"]: row["cause"] for row in tenant.tables.read(IDENTITY_CHANGES).to_pylist()}


def who(tenant: Explained, manifest: Manifest) -> dict[str, tuple[str, str | None]]:
    rows = tenant.tables.read(BATCH_NODES, version=manifest.tables[BATCH_NODES.name]).to_pylist()
    return {row["node"]: (row["person_id"], row["isolated"]) for row in rows}


def told(tenant: Explained, before: dict, manifest_id: int) -> dict[str, tuple[str, str | None]]:
    """The rows of a publish applied to what was served before."""
    found = dict(before)
    for row in tenant.tables.read(IDENTITY_CHANGES, where=pc.field("manifest_id") == manifest_id).to_pylist():
        assert found.get(row["node"], (None, None)) == (row["person_before"], row["isolated_before"])
        if row["change"] == "gone":
            del found[row["node"]]
        else:
            found[row["node"]] = (row["person_after"], row["isolated_after"])
    return found


def test_persons_that_an_edge_joins_are_merged_and_a_rollback_splits_them_again(tenant: Explained) -> None:
    tenant.write(*together((ANN, MAIL), (PHONE, DEVICE)))
    first = tenant.publish(cut=1)
    tenant.write(*together((MAIL, PHONE)))
    tenant.publish(cut=2)
    older, younger = person_id(MAIL), person_id(DEVICE)
    assert changes(tenant, 1) == {node: ("new", None, person) for node, person in ((ANN, older), (MAIL, older), (PHONE, younger), (DEVICE, younger))}
    assert changes(tenant, 2) == {PHONE: ("merged", younger, older), DEVICE: ("merged", younger, older)}
    tenant.rollback(first)
    assert changes(tenant, 3) == {PHONE: ("split", older, younger), DEVICE: ("split", older, younger)}
    tenant.publish(cut=2)
    assert changes(tenant, 4) == changes(tenant, 2)
    assert causes(tenant) == {1: "edges", 2: "edges", 3: "rollback", 4: "edges"}


def test_a_kiosk_that_becomes_shared_is_isolated_and_who_was_with_it_is_split(tenant: Explained) -> None:
    tenant.write(*together((ANN, DEVICE), (DEVICE, MAIL)))
    tenant.publish(cut=1)
    tenant.write(*together((BOB, DEVICE)))
    tenant.publish(cut=2)
    before = person_id(DEVICE)
    assert changes(tenant, 2) == {
        DEVICE: ("isolated", before, before), ANN: ("split", before, person_id(ANN)), MAIL: ("split", before, person_id(MAIL)), BOB: ("new", None, person_id(BOB)),
    }  # fmt: skip


def test_other_rules_over_the_same_epochs_are_the_cause_of_what_they_change(tenant: Explained) -> None:
    tenant.write(*together((ANN, DEVICE), (BOB, DEVICE)))
    tenant.publish(cut=1)
    tenant.definitions = LAX
    tenant.publish(cut=1)
    assert causes(tenant) == {1: "edges", 2: "rules"}
    assert {change for change, _, _ in changes(tenant, 2).values()} == {"freed", "merged"}


def test_counts_are_of_nodes_and_of_persons(tenant: Explained) -> None:
    tenant.write(*together((ANN, MAIL), (PHONE, DEVICE)))
    first = tenant.publish(cut=1)
    tenant.write(*together((MAIL, PHONE), (BOB, BOB)))
    second = tenant.publish(cut=2)
    version = Version(3, 2, tenant.definitions.identity, second.tables[BATCH_NODES.name])
    assert record_changes(tenant.tables, first, version) == {
        "cause": "edges", "nodes_merged": 2, "nodes_new": 1, "persons_new": 1, "persons_ended": 1, "persons_merged": 1, "persons_split": 0,
    }  # fmt: skip


def test_what_a_build_left_that_died_before_its_manifest_is_replaced_by_the_next(tenant: Explained) -> None:
    tenant.write(*together((ANN, MAIL), (PHONE, DEVICE)))
    first = tenant.publish(cut=1)
    tenant.write(*together((BOB, BOB)))
    nodes = tenant.tables.replace(BATCH_NODES, tenant.nodes(tenant.log))
    record_changes(tenant.tables, first, Version(2, 2, tenant.definitions.identity, nodes))
    assert changes(tenant, 2) == {BOB: ("new", None, person_id(BOB))}
    assert BOB not in {row.person_after for row in tenant.ask(("explain", 9), BOB).history.changes}
    tenant.write(*together((MAIL, PHONE)))
    tenant.publish(cut=3)
    assert {node: change for node, (change, _, _) in changes(tenant, 2).items()} == {BOB: "new", PHONE: "merged", DEVICE: "merged"}


def test_a_rollback_from_a_version_that_is_damaged_goes_ahead_and_the_hole_is_named(tenant: Explained) -> None:
    tenant.write(*together((ANN, MAIL)))
    tenant.publish(cut=1)
    kept = set(DeltaTable(tenant.tables.path(BATCH_NODES)).file_uris())
    tenant.write(*together((BOB, BOB)))
    tenant.publish(cut=2)
    for file in set(DeltaTable(tenant.tables.path(BATCH_NODES)).file_uris()) - kept:
        Path(file.removeprefix("file://")).unlink()
    assert roll_back(tenant.tables, 1).proof["identity"] == {"cause": "rollback", "unknown": True}
    assert changes(tenant, 3) == {}
    assert tenant.ask(("explain", 9), ANN).history.unknown == [3]


def test_a_rollback_says_in_its_manifest_what_it_changes(tenant: Explained) -> None:
    tenant.write(*together((ANN, MAIL)))
    tenant.publish(cut=1)
    tenant.write(*together((BOB, BOB)))
    tenant.publish(cut=2)
    roll_back(tenant.tables, 1)
    assert read_manifests(tenant.tables)[-1].proof["identity"] == {
        "cause": "rollback", "nodes_gone": 1, "persons_new": 0, "persons_ended": 1, "persons_merged": 0, "persons_split": 0,
    }  # fmt: skip


def test_files_of_many_publishes_are_folded_into_one(tenant: Explained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_changes, "MOST_FILES", 2)
    for number in range(3):
        tenant.write(*together((f"user_id:{number}", MAIL)))
        tenant.publish(cut=number + 1)
    before = tenant.tables.read(IDENTITY_CHANGES).num_rows
    tidy_changes(tenant.tables, BatchSettings())
    found = DeltaTable(tenant.tables.path(IDENTITY_CHANGES))
    assert (len(found.file_uris()), tenant.tables.read(IDENTITY_CHANGES).num_rows) == (1, before)


@settings(PATIENT, max_examples=25)
@given(sightings=edge_sets(), cuts=st.lists(st.integers(1, 6), min_size=1, max_size=4), chance=st.randoms(use_true_random=False))
def test_the_rows_of_all_manifests_in_turn_lead_to_what_serves(sightings: list, cuts: list[int], chance) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tenant = Explained(Path(folder))
        for epoch in range(1, 7):
            tenant.write(*together(*((one, other) for one, other, at in sightings if at[0] == epoch)))
        for cut in sorted(cuts):
            if tenant.manifests and chance.random() < 0.3:
                tenant.rollback(chance.choice(tenant.manifests))
            tenant.definitions = chance.choice([tenant.definitions, tenant.definitions, LAX])
            tenant.publish(cut=cut)
        served: dict[str, tuple[str, str | None]] = {}
        for manifest in tenant.manifests:
            served = told(tenant, served, manifest.manifest_id)
            assert served == who(tenant, manifest)
        for one, other in pairwise(tenant.manifests):
            assert changes(tenant, other.manifest_id).keys() == {
                node for node in who(tenant, one).keys() | who(tenant, other).keys() if who(tenant, one).get(node) != who(tenant, other).get(node)
            }


def test_changes_that_only_a_decision_makes_are_said_to_be_its(tenant: Explained) -> None:
    tenant.write(*together((ANN, MAIL), (BOB, PHONE)))
    tenant.publish(cut=1)
    tenant.decide("join", ANN, BOB)
    tenant.publish(cut=1)
    assert causes(tenant) == {1: "edges", 2: "decisions"}
