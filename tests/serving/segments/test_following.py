"""Memberships follow events, time, merges, decisions, publishes and rules; each change is told once with what made it."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from millrace.tables.catalogue import LEDGER, SEGMENT_SETTLEMENTS
from millrace.traits.finish import micros
from tests.serving.segments.hand_made import ACTIVE, BUYERS, DAY_US, HOUR_US, RULES, SPENDERS, Follow
from tests.serving.store.by_hand import HandMade, Order
from tests.serving.store.stores import NOW, builds_in_process, tenant

__all__ = ["builds_in_process", "tenant"]
ANN, BOB, MAIL = "user_id:ann", "user_id:bob", "email:m"


@pytest.fixture
def follow(tmp_path: Path, tenant: HandMade, builds_in_process: None) -> Iterator[Follow]:
    found = Follow(tmp_path)
    yield found
    found.close()


def everything_agrees(follow: Follow) -> None:
    assert follow.held() == follow.directly() == follow.from_table()
    assert [(row["batch"], row["change_id"]) for row in follow.rows()] == [(batch, row.change_id) for batch, row in follow.topic.records]
    assert len({row["change_id"] for row in follow.rows()}) == len(follow.rows())


def test_an_event_moves_a_person_into_a_segment_at_the_moment_its_epoch_came_to_exist(follow: Follow, tenant: HandMade) -> None:
    follow.settle()
    tenant.write(Order(ANN, store="south"))
    follow.settle()
    assert set(follow.told()) == {("active", "entered", "event")}
    tenant.write(Order(ANN, store="south"))
    follow.settle()
    (row,) = [row for row in follow.rows() if row["segment"] == "buyers"]
    assert (row["change"], row["because"], row["at"], row["head"]) == ("entered", "event", datetime(2025, 1, 10, 12, 0, 2, tzinfo=UTC), 2)
    everything_agrees(follow)


def test_a_window_that_slides_moves_a_person_out_at_the_hop_boundary(follow: Follow, tenant: HandMade) -> None:
    """
    hour       |  11   |  12   |  13   |  14   |  15   |
    order       x
    orders_3h          [-------+-------+-------)  as of 15:00 the tile of 11 is gone
    """
    tenant.write(Order(ANN, at="2025-01-10T11:10:00Z"))
    follow.settle()
    follow.settle(micros(datetime(2025, 1, 10, 14, 59, 59, tzinfo=UTC)))
    assert "active" in follow.held()[next(iter(follow.held()))]
    follow.settle(micros(datetime(2025, 1, 10, 15, 0, 2, tzinfo=UTC)))
    row = follow.rows()[-1]
    assert (row["segment"], row["change"], row["because"]) == ("active", "left", "time")
    assert (row["at"], row["seen_at"]) == (datetime(2025, 1, 10, 15, tzinfo=UTC), datetime(2025, 1, 10, 15, 0, 2, tzinfo=UTC))
    everything_agrees(follow)


def test_a_clause_over_now_moves_a_person_when_its_instant_comes(follow: Follow, tenant: HandMade) -> None:
    tenant.write(Order(ANN, at="2025-01-10T11:10:00Z"))
    follow.settle()
    follow.settle(NOW + 2 * DAY_US)
    (row,) = [row for row in follow.rows() if row["segment"] == "settled_in"]
    assert (row["change"], row["because"], row["at"]) == ("entered", "time", datetime(2025, 1, 11, 11, 10, tzinfo=UTC))
    everything_agrees(follow)


def test_what_fell_due_while_nobody_followed_is_told_with_the_instant_it_became_true(follow: Follow, tenant: HandMade) -> None:
    """The order of 16:30 comes after the window has slid at 15:00 and before the restart: he left and came back."""
    tenant.write(Order(ANN, at="2025-01-10T11:10:00Z"))
    follow.settle()
    follow.follower.close()
    written = tenant.begin(Order(ANN, at="2025-01-10T16:10:00Z"))
    row = tenant.ledger_rows((written, 1)).to_pylist()[0] | {"committed_at": datetime(2025, 1, 10, 16, 30, tzinfo=UTC)}
    tenant.tables.append(LEDGER, pa.Table.from_pylist([row], schema=LEDGER.schema), app_id="ledger", epoch=written)
    follow.clock.now = NOW + 10 * HOUR_US
    follow.follower = follow.start()
    follow.settle()
    found = [(row["change"], row["because"], row["at"].hour, row["at"].minute) for row in follow.rows() if row["segment"] == "active"]
    assert found == [("entered", "definition", 12, 30), ("left", "time", 15, 0), ("entered", "event", 16, 30), ("left", "time", 20, 0)]
    everything_agrees(follow)


def test_two_persons_who_become_one_leave_and_enter_because_of_the_merge(follow: Follow, tenant: HandMade) -> None:
    tenant.write(Order(ANN, store="south"), Order(BOB, store="south"))
    tenant.publish(cut=1)
    follow.settle()
    before, told = follow.held(), len(follow.rows())
    assert len(before) == 2 and not any("buyers" in names for names in before.values())
    tenant.write(Order(ANN, at="2025-01-01T00:00:00Z", also=(BOB,), store="south"))
    follow.settle()
    assert len(follow.held()) == 1 and "buyers" in next(iter(follow.held().values()))
    new = follow.told()[told:]
    assert ("buyers", "entered", "merge") in new and ("active", "left", "merge") in new
    everything_agrees(follow)


def test_a_late_event_moves_a_person_by_the_tile_it_belongs_to(follow: Follow, tenant: HandMade) -> None:
    tenant.write(Order(ANN, at="2025-01-10T11:00:00Z", revenue="15"))
    tenant.publish(cut=1)
    follow.settle()
    tenant.write(Order(ANN, at="2024-12-01T11:00:00Z", revenue="100"))
    follow.settle()
    assert not [row for row in follow.rows() if row["segment"] == "spenders"]
    tenant.write(Order(ANN, at="2025-01-08T11:00:00Z", revenue="5"))
    follow.settle()
    assert [row["change"] for row in follow.rows() if row["segment"] == "spenders"] == ["entered"]
    follow.settle(micros(datetime(2025, 1, 11, 0, 0, 1, tzinfo=UTC)))
    assert [(row["change"], row["at"].day) for row in follow.rows() if row["segment"] == "spenders"][1:] == [("left", 11)]
    everything_agrees(follow)


def test_a_publish_changes_no_membership_and_says_so(follow: Follow, tenant: HandMade) -> None:
    tenant.write(Order(ANN), Order(BOB))
    follow.settle()
    tenant.write(Order(ANN, also=(MAIL,)))
    tenant.write(Order(BOB, at="2025-01-09T12:00:00Z"))
    follow.settle()
    told = len(follow.rows())
    tenant.publish(cut=2)
    follow.settle()
    assert len(follow.rows()) == told
    rows = follow.tables.read(SEGMENT_SETTLEMENTS).to_pylist()
    assert {(row["manifest_id"], row["segment"]) for row in rows} == {(1, rule.name) for rule in RULES}
    assert {(row["missing"], row["extra"], row["persons"], row["head"]) for row in rows} == {(0, 0, 2, 3)}
    assert {row["segment"]: row["members"] for row in rows}["buyers"] == 2
    everything_agrees(follow)


def test_a_difference_at_a_publish_is_counted_and_mended(follow: Follow, tenant: HandMade) -> None:
    tenant.write(Order(ANN), Order(ANN))
    follow.settle()
    state = follow.follower._state
    ((person, record),) = state.records("", 5)
    wrong = {"spenders_of_old": 1, **{name: at for name, at in record.since.items() if name != "buyers"}}
    state.put(person, type(record)(record.node, record.at, record.rules, record.due, wrong), record)
    tenant.publish(cut=1)
    follow.settle()
    rows = {row["segment"]: (row["missing"], row["extra"]) for row in follow.tables.read(SEGMENT_SETTLEMENTS).to_pylist()}
    assert rows["buyers"] == (1, 0)
    assert follow.held() == follow.directly()


def test_a_changed_rule_moves_everybody_because_of_the_definition_and_leaves_other_segments_alone(follow: Follow, tenant: HandMade) -> None:
    tenant.write(Order(ANN), Order(BOB))
    tenant.publish(cut=1)
    follow.settle()
    told = len(follow.rows())
    follow.rules = tuple(replace(rule, rule=lambda values, now: values["orders"] >= 1) if rule is BUYERS else rule for rule in RULES if rule is not SPENDERS)
    follow.prints = {"buyers": "2"}
    follow.settle()
    assert set(follow.told()[told:]) == {("buyers", "entered", "definition")}
    assert len(follow.rows()) == told + 2
    everything_agrees(follow)


def test_a_segment_waits_for_a_trait_no_version_serves_yet(follow: Follow, tenant: HandMade) -> None:
    tenant.write(Order(ANN))
    follow.rules = (ACTIVE, replace(BUYERS, traits=("not_there",)))
    follow.settle()
    assert follow.follower._rules.waiting == {"buyers": ("not_there",)}
    assert {name for names in follow.held().values() for name in names} == {"active"}


def test_a_broker_that_is_away_delays_only_the_topic(follow: Follow, tenant: HandMade) -> None:
    follow.topic.is_away = True
    tenant.write(Order(ANN), Order(ANN))
    follow.settle()
    tenant.write(Order(BOB), Order(BOB))
    follow.settle()
    assert follow.from_table() == follow.held() and follow.topic.records == []
    assert "away" in follow.problems["delivery"]
    follow.topic.is_away, follow.follower._retry_at = False, 0.0
    follow.settle()
    everything_agrees(follow)


@pytest.mark.parametrize("published", [True, False])
def test_lost_state_is_made_again_from_the_table(follow: Follow, tenant: HandMade, published: bool) -> None:
    tenant.write(Order(ANN), Order(ANN), Order(BOB))
    if published:
        tenant.publish(cut=1)
    follow.settle()
    tenant.write(Order(BOB, also=(MAIL,)))
    follow.settle()
    rows = follow.rows()
    follow.follower.close()
    shutil.rmtree(follow.tables.root + "/t/segments")
    tenant.write(Order("user_id:cid"), Order("user_id:cid"))
    follow.follower = follow.start()
    follow.settle()
    assert follow.rows()[: len(rows)] == rows
    assert {row["because"] for row in follow.rows()[len(rows) :]} == {"event"}
    assert follow.held() == follow.directly() == follow.from_table()
    assert {row.change_id for _, row in follow.topic.records} == {row["change_id"] for row in follow.rows()}


def test_a_restart_tells_nothing_twice(follow: Follow, tenant: HandMade) -> None:
    tenant.write(Order(ANN), Order(ANN), Order(BOB))
    tenant.publish(cut=1)
    follow.settle()
    told = len(follow.rows())
    for _ in range(2):
        follow.restart()
        follow.settle()
    assert len(follow.rows()) == told
    everything_agrees(follow)
