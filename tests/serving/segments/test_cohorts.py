"""Cohorts after what moves people about: merges, unmerges, removed identifiers, late events; and as the API folds them from the table."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from millrace.identity.nodes import person_id
from millrace.tables.catalogue import SEGMENT_CHANGES
from serving.segments.cohorts import Cohorts
from serving.segments.watching import Declared
from serving.tidying import tidy
from tests.serving.segments.hand_made import HOUR_US, Follow
from tests.serving.segments.ruled import RULED, Tenant
from tests.serving.store.by_hand import Order
from tests.serving.store.stores import NOW, builds_in_process

__all__ = ["builds_in_process"]
ANN, BOB, MAIL = "user_id:ann", "user_id:bob", "email:m"


@pytest.fixture
def follow(tmp_path: Path, builds_in_process: None) -> Iterator[Follow]:
    found = Follow(tmp_path, definitions=RULED, declared=Declared(RULED))
    yield found
    found.close()


@pytest.fixture
def tenant(tmp_path: Path, follow: Follow) -> Tenant:
    return Tenant(tmp_path, follow.clock)


def buyers(follow: Follow) -> set[str]:
    """As the follower holds them, as a table reader counts them."""
    held = {person for person, names in follow.held().items() if "buyers" in names}
    cohorts = Cohorts(follow.tables)
    cohorts.follow()
    assert {person for person, _ in cohorts.page("buyers", after=0, limit=100)[0]} == held
    assert cohorts.count("buyers") == len(held)
    return held


def reasons(follow: Follow, known: int) -> set[tuple[str, str, str]]:
    return {(row["person_id"], row["change"], row["because"]) for row in follow.rows()[known:] if row["segment"] == "buyers"}


def test_a_merge_by_an_event_makes_one_member_of_two_people_and_its_unmerge_gives_both_back(follow: Follow, tenant: Tenant) -> None:
    tenant.write(Order(ANN), Order(MAIL), Order(MAIL))
    tenant.publish(cut=1)
    follow.settle()
    assert buyers(follow) == {person_id(MAIL)}
    known = len(follow.rows())
    tenant.write(Order(ANN, also=(MAIL,)))
    follow.settle()
    assert buyers(follow) == {person_id(ANN)}
    assert reasons(follow, known) == {(person_id(MAIL), "left", "merge"), (person_id(ANN), "entered", "merge")}
    known = len(follow.rows())
    tenant.decide("part", *sorted((ANN, MAIL)))
    follow.settle()
    assert buyers(follow) == {person_id(ANN), person_id(MAIL)}
    assert reasons(follow, known) == {(person_id(MAIL), "entered", "decision")}
    tenant.decide("withdraw", None, None, withdraws=1)
    follow.settle()
    assert buyers(follow) == {person_id(ANN)}


def test_a_join_by_decision_and_its_withdrawal(follow: Follow, tenant: Tenant) -> None:
    tenant.write(Order(ANN), Order(BOB))
    tenant.publish(cut=1)
    follow.settle()
    assert buyers(follow) == set()
    tenant.decide("join", ANN, BOB)
    follow.settle()
    assert buyers(follow) == {person_id(ANN)}
    tenant.decide("withdraw", None, None, withdraws=1)
    follow.settle()
    assert buyers(follow) == set()
    assert {row["because"] for row in follow.rows() if row["segment"] == "buyers"} == {"decision"}


def test_a_person_who_is_parted_by_a_later_edge_leaves_because_of_the_split(follow: Follow, tenant: Tenant) -> None:
    """A device of Ann's becomes one that two people share: it joins nobody any more, and Ann has one order of two left."""
    tenant.write(Order(ANN, also=("anonymous_id:d",)), Order("anonymous_id:d"))
    tenant.publish(cut=1)
    follow.settle()
    assert buyers(follow) == {person_id(ANN if ANN < "anonymous_id:d" else "anonymous_id:d")}
    known = len(follow.rows())
    tenant.write(Order(BOB, also=("anonymous_id:d",)))
    follow.settle()
    assert buyers(follow) == set()
    assert {because for _, change, because in reasons(follow, known) if change == "left"} == {"split"}


def test_a_removed_identifier_takes_its_events_out_of_the_cohort(follow: Follow, tenant: Tenant) -> None:
    tenant.write(Order(ANN, also=(MAIL,)), Order(MAIL))
    tenant.publish(cut=1)
    follow.settle()
    assert len(buyers(follow)) == 1
    tenant.decide("remove", MAIL, None)
    follow.settle()
    assert buyers(follow) == set()
    tenant.publish(cut=1)
    follow.settle()
    assert buyers(follow) == set()
    assert follow.held() == follow.directly() == follow.from_table()


def test_late_events_count_in_the_tile_they_belong_to_whatever_was_published_since(follow: Follow, tenant: Tenant) -> None:
    tenant.write(Order(ANN, at="2025-01-10T12:00:00Z", revenue="15"))
    tenant.publish(cut=1)
    follow.settle()
    follow.clock.now = NOW + 20 * HOUR_US
    tenant.write(Order(ANN, at="2024-06-01T12:00:00Z", revenue="500"), Order(ANN, at="2025-01-09T23:59:59Z", revenue="5"))
    follow.settle()
    rows = [(row["change"], row["because"]) for row in follow.rows() if row["segment"] == "spenders"]
    assert rows == [("entered", "event")]
    assert follow.held() == follow.directly() == follow.from_table()


def test_a_corrected_source_row_moves_a_person_as_its_counter_entry_comes_and_again_with_the_right_one(follow: Follow, tenant: Tenant) -> None:
    """A source corrects an order of 15 to 5: the entry that takes it back is an event of its own, in the tile of the order, as is the right one."""
    tenant.write(Order(ANN, revenue="15"), Order(ANN, revenue="8"))
    tenant.publish(cut=1)
    follow.settle()
    tenant.write(Order(ANN, revenue="-15"))
    tenant.write(Order(ANN, revenue="5"))
    follow.settle()
    tenant.publish(cut=3)
    follow.settle()
    assert [(row["change"], row["because"]) for row in follow.rows() if row["segment"] == "spenders"][:2] == [("entered", "definition"), ("left", "event")]
    assert not any("spenders" in names for names in follow.held().values())
    assert follow.held() == follow.directly() == follow.from_table()


def test_rows_that_a_later_version_has_otherwise_are_settled_by_its_publish(follow: Follow, tenant: Tenant) -> None:
    """The log is corrected and built anew: nothing but the publish tells of it."""
    tenant.write(Order(ANN, revenue="15"), Order(ANN, revenue="8"), Order(BOB, revenue="30"))
    tenant.publish(cut=1)
    follow.settle()
    wrong, *others = tenant.log
    tenant.log = [type(wrong)(Order(ANN, revenue="5"), wrong.epoch, wrong.offset), *others]
    tenant.publish(cut=1)
    follow.settle()
    assert [(row["person_id"], row["change"], row["because"]) for row in follow.rows() if row["segment"] == "spenders"][-1] == (person_id(ANN), "left", "publish")
    assert {person for person, names in follow.held().items() if "spenders" in names} == {person_id(BOB)}
    assert follow.held() == follow.directly() == follow.from_table()


def test_a_reader_that_follows_sees_what_one_that_starts_later_sees_also_after_the_table_is_tidied(follow: Follow, tenant: Tenant) -> None:
    early = Cohorts(follow.tables)
    for number in range(4):
        tenant.write(Order(f"user_id:{number}"), Order(f"user_id:{number}"), Order("user_id:0"))
        follow.settle(NOW + number * HOUR_US)
        early.follow()
        if number == 2:
            tidy(follow.tables, SEGMENT_CHANGES)
    early.follow()
    late = Cohorts(follow.tables)
    late.follow()
    for name in ("buyers", "active"):
        assert early.page(name, after=0, limit=9) == late.page(name, after=0, limit=9)
        assert early.days(name) == late.days(name)
        assert early.count(name) == len(early.page(name, after=0, limit=9)[0])
    assert early.overlap("buyers", "active") == late.overlap("buyers", "active") == 4
