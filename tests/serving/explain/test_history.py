"""The history of an identifier: what publishes have changed for the persons it belonged to, while it belonged to them."""

from pathlib import Path

import pytest

from millrace.identity.nodes import person_id
from serving.explain.answers import Change
from tests.serving.explain.ruled import ANN, BOB, DEVICE, MAIL, PHONE, Explained, together

OLD, YOUNG = person_id(MAIL), person_id(DEVICE)


@pytest.fixture
def tenant(tmp_path: Path) -> Explained:
    """Two persons who are found to be one."""
    tenant = Explained(tmp_path)
    tenant.write(*together((ANN, MAIL), (PHONE, DEVICE)))
    tenant.publish(cut=1)
    tenant.write(*together((MAIL, PHONE)))
    tenant.publish(cut=2)
    return tenant


def history(tenant: Explained, node: str) -> list[tuple[int, str, str | None, str | None, int, bool]]:
    changes: list[Change] = tenant.ask(("explain", 9), node).history.changes
    return [(one.manifest_id, one.change, one.person_before, one.person_after, one.nodes, one.own) for one in changes]


def test_who_is_joined_to_a_person_is_in_the_history_of_its_identifiers(tenant: Explained) -> None:
    assert history(tenant, ANN) == [(2, "merged", YOUNG, OLD, 2, False), (1, "new", None, OLD, 2, True)]
    assert history(tenant, PHONE) == [(2, "merged", YOUNG, OLD, 2, True), (1, "new", None, YOUNG, 2, True)]


def test_a_rollback_and_the_next_publish_are_in_the_history(tenant: Explained) -> None:
    tenant.rollback(tenant.manifests[0])
    assert history(tenant, PHONE)[0] == (3, "split", OLD, YOUNG, 2, True)
    assert history(tenant, ANN)[0] == (3, "split", OLD, YOUNG, 2, False)
    tenant.publish(cut=2)
    assert [one[:2] for one in history(tenant, PHONE)] == [(4, "merged"), (3, "split"), (2, "merged"), (1, "new")]


def test_what_becomes_of_a_person_after_an_identifier_has_left_it_is_not_its_history(tenant: Explained) -> None:
    tenant.rollback(tenant.manifests[0])
    tenant.write(*together((BOB, BOB), (ANN, "email:other")))
    tenant.publish(cut=1)
    assert [one[0] for one in history(tenant, PHONE)] == [3, 2, 1]
    served = tenant.manifests[-1]
    assert served.manifest_id == 4
    tenant.write(*together((ANN, "email:third")))
    nodes_without_the_merge = [one for one in tenant.log if one.epoch != 2]
    tenant.log = nodes_without_the_merge
    tenant.publish(cut=4)
    assert (5, "new", None, OLD, 2, False) in history(tenant, ANN)
    assert 5 not in {one[0] for one in history(tenant, PHONE)}


def test_nothing_is_told_of_what_is_not_published_yet(tenant: Explained) -> None:
    tenant.write(*together((BOB, BOB)))
    assert history(tenant, BOB) == []
    assert tenant.ask(("explain", 9), BOB).history.truncated is False


def test_what_became_of_those_an_identifier_was_one_with_is_its_history(tmp_path: Path) -> None:
    tenant = Explained(tmp_path / "kiosk")
    tenant.write(*together((ANN, DEVICE), (DEVICE, MAIL)))
    tenant.publish(cut=1)
    tenant.write(*together((BOB, DEVICE)))
    tenant.publish(cut=2)
    assert history(tenant, ANN)[:3] == [
        (2, "isolated", YOUNG, YOUNG, 1, False), (2, "split", YOUNG, person_id(ANN), 1, True), (2, "split", YOUNG, person_id(MAIL), 1, False),
    ]  # fmt: skip
