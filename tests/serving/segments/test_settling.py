"""A publish is settled by looking at those whom it can have moved, and at a share of the others; whoever is looked at is compared with what was held."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.identity.nodes import person_id
from millrace.tables.catalogue import SEGMENT_SETTLEMENTS
from serving.segments.affected import TURNS, share
from serving.store.base_changes import STRIDE, differing
from tests.serving.segments.hand_made import Follow
from tests.serving.store.by_hand import PATIENT, HandMade, Order
from tests.serving.store.stores import builds_in_process, tenant

__all__ = ["builds_in_process", "tenant"]
MAIL = "email:m"


def in_turn(turn: int) -> list[str]:
    """Nodes of persons who are looked at when it is this turn."""
    first, until = share(turn)
    return [node for node in (f"user_id:{number}" for number in range(2_000)) if first <= person_id(node) < until]


ANN, BOB = in_turn(3)[:2]
CID, DAN = in_turn(2)[:2]


@pytest.fixture
def follow(tmp_path: Path, tenant: HandMade, builds_in_process: None) -> Iterator[Follow]:
    """Four persons with two orders each, settled under the first version; Cid and Dan are those whose turn comes with the second."""
    found = Follow(tmp_path)
    tenant.write(*(Order(node) for node in (ANN, BOB, CID, DAN) for _ in range(2)))
    tenant.publish(cut=1)
    found.settle()
    yield found
    found.close()


def settled(follow: Follow, manifest_id: int) -> tuple[int, int, dict[str, tuple[int, int]]]:
    """Persons looked at, others, and what was missing and extra where anything was."""
    rows = [row for row in follow.tables.read(SEGMENT_SETTLEMENTS).to_pylist() if row["manifest_id"] == manifest_id]
    ((persons, unchanged),) = {(row["persons"], row["unchanged"]) for row in rows}
    return persons, unchanged, {row["segment"]: (row["missing"], row["extra"]) for row in rows if row["missing"] or row["extra"]}


def forget(follow: Follow, node: str, segment: str) -> None:
    """Damages what is held of a person."""
    state = follow.follower._state
    record = state.get(person_id(node))
    assert record is not None
    since = {name: at for name, at in record.since.items() if name != segment}
    state.put(person_id(node), type(record)(record.node, record.at, record.rules, record.due, since), record)


def test_those_whom_nothing_has_touched_are_not_looked_at_until_their_turn(follow: Follow, tenant: HandMade) -> None:
    tenant.write(Order(ANN))
    follow.settle()
    tenant.publish(cut=2)
    follow.settle()
    assert settled(follow, 2) == (3, 1, {})
    assert [folder.name for folder in Path(follow.tables.path("store")).glob("base-*")] == ["base-2"]
    assert follow.held() == follow.directly() == follow.from_table()


def test_what_is_held_wrongly_of_somebody_touched_is_found_at_once(follow: Follow, tenant: HandMade) -> None:
    tenant.write(Order(ANN))
    follow.settle()
    forget(follow, ANN, "buyers")
    tenant.publish(cut=2)
    follow.settle()
    assert settled(follow, 2)[2] == {"buyers": (1, 0)}
    assert follow.held() == follow.directly()


def test_what_is_held_wrongly_of_others_is_found_when_it_is_their_turn(follow: Follow, tenant: HandMade) -> None:
    forget(follow, BOB, "buyers")
    forget(follow, CID, "buyers")
    tenant.publish(cut=1)
    follow.settle()
    assert settled(follow, 2) == (2, 2, {"buyers": (1, 0)})
    tenant.publish(cut=1)
    follow.settle()
    assert settled(follow, 3)[2] == {"buyers": (1, 0)}
    assert follow.held() == follow.directly()


def test_a_version_that_says_something_else_of_somebody_untouched_is_found(follow: Follow, tenant: HandMade) -> None:
    tenant.log = [placed for placed in tenant.log if placed.order.node != BOB or placed.offset % 2]
    tenant.publish(cut=1)
    follow.settle()
    assert settled(follow, 2)[2]["buyers"] == (0, 1)
    assert follow.held() == follow.directly()


def test_a_version_in_which_somebody_belongs_to_another_is_found(follow: Follow, tenant: HandMade) -> None:
    del tenant.log[2:4]
    tenant.log += [type(one)(Order(ANN, also=(BOB,)), one.epoch, one.offset) for one in tenant.log[:1]]
    tenant.publish(cut=1)
    follow.settle()
    assert settled(follow, 2)[2]["buyers"] == (0, 1)
    assert person_id(max(ANN, BOB)) not in follow.held()
    assert follow.held() == follow.directly()


def test_a_version_rolled_back_to_is_settled_alike(follow: Follow, tenant: HandMade) -> None:
    tenant.write(Order(ANN, also=(MAIL,)), Order("user_id:new"))
    tenant.publish(cut=2)
    follow.settle()
    tenant.rollback(tenant.manifests[0])
    follow.settle()
    assert [settled(follow, number)[2] for number in (2, 3)] == [{}, {}]
    assert settled(follow, 3)[0] < 5
    assert follow.held() == follow.directly() == follow.from_table()


def test_every_id_has_its_turn_once() -> None:
    for number in range(500):
        found = person_id(f"user_id:{number}")
        assert sum(first <= found < until for first, until in map(share, range(TURNS))) == 1


@settings(PATIENT, max_examples=30)
@given(old=st.dictionaries(st.integers(0, 40), st.integers(0, 1)), new=st.dictionaries(st.integers(0, 40), st.integers(0, 1)), more=st.sampled_from((0, STRIDE)))
def test_two_bases_differ_in_the_keys_that_one_lacks_or_has_otherwise(old: dict[int, int], new: dict[int, int], more: int) -> None:
    same = dict.fromkeys(range(100, 100 + more), 0)
    parts = list(differing(Listed(old | same), Listed(new | same), "states"))
    assert [key for part in parts for key in part] == [f"{key:05}" for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key)]
    assert len(parts) == 1 + (len((old | same).keys() | new.keys()) // STRIDE)


class Listed:
    """A base of one database."""

    def __init__(self, values: dict[int, int]) -> None:
        self._values = values

    def pairs(self, database: str) -> Iterator[tuple[bytes, bytes]]:
        return ((f"{key:05}".encode(), b"%d" % self._values[key]) for key in sorted(self._values))
