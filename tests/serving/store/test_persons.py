"""Persons after the cut against a plain union of sets."""

import itertools

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from millrace.identity.nodes import person_id
from millrace.tables.catalogue import SPEED_EDGES
from serving.store.batch_base import Edge, Member, Place
from serving.store.persons import Persons
from tests.serving.store.by_hand import DEFINITIONS, PATIENT, Order, Placed, edges_of, nodes_of

ANYONE = DEFINITIONS.identity.compiled(b"")
NAMES = st.sampled_from([f"user_id:{letter}" for letter in "abcdef"] + ["phone:p", "email:e"])
EVENTS = st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=3)), max_size=14)


class Nodes:
    """Batch nodes in memory."""

    def __init__(self, placed: list[Placed]) -> None:
        self.rows = nodes_of(placed)

    def person_of(self, node: str) -> str | None:
        return next((row["person_id"] for row in self.rows if row["node"] == node), None)

    def place(self, node: str) -> Place | None:
        person = self.person_of(node)
        return Place(person, person) if person else None

    def component(self, component: str) -> tuple[list[Member], list[Edge]]:
        raise AssertionError("without rules nothing is resolved again")

    def members(self, person_id: str) -> list[Member]:
        return [Member(row["node"], row["hint"], **row["first_seen"]) for row in self.rows if row["person_id"] == person_id]


def edges(placed: list[Placed]) -> pa.Table:
    return pa.Table.from_pylist([{"epoch": 1, **row} for row in edges_of(placed)], schema=SPEED_EDGES)


@PATIENT
@given(events=EVENTS, cut=st.integers(0, 14), step=st.integers(1, 5))
def test_batch_persons_and_edges_after_the_cut_give_the_persons_of_the_whole_log(events: list[tuple[str, list[str]]], cut: int, step: int) -> None:
    placed = [Placed(Order(owner, also=tuple(also)), epoch, epoch) for epoch, (owner, also) in enumerate(events, start=1)]
    base, persons = Nodes(placed[:cut]), Persons(ANYONE)
    for start in range(cut, len(placed), step):
        persons.apply(persons.prepare(edges(placed[start : start + step]), base))
    expected = {row["node"]: row for row in nodes_of(placed)}
    for node, row in expected.items():
        person = persons.find(node, base)
        assert person is not None
        assert person.id == row["person_id"]
        assert sorted(member.node for member in person.members) == sorted(other for other, one in expected.items() if one["person_id"] == row["person_id"])
    assert persons.find("user_id:nobody", base) is None


def test_a_change_is_not_seen_before_it_is_applied() -> None:
    base, persons = Nodes([]), Persons(ANYONE)
    change = persons.prepare(edges([Placed(Order("user_id:a", also=("user_id:b",)), 1, 0)]), base)
    assert persons.find("user_id:a", base) is None
    persons.apply(change)
    assert (person := persons.find("user_id:b", base)) and person.id == person_id("user_id:a")


def test_the_first_place_in_the_log_counts_whatever_order_edges_come_in() -> None:
    later, earlier = Placed(Order("user_id:z"), 2, 7), Placed(Order("user_id:z", also=("user_id:a",)), 1, 3)
    persons = Persons(ANYONE)
    persons.apply(persons.prepare(edges([later, earlier]), Nodes([])))
    person = persons.find("user_id:z", Nodes([]))
    assert person and person.id == person_id("user_id:a")
    assert {member[2:] for member in person.members} == {(1, 0, 3)}


def test_a_long_chain_of_edges_is_one_person() -> None:
    names = [f"anonymous_id:{n:04d}" for n in range(2_000)]
    chain = [Placed(Order(left, also=(right,)), 1, n) for n, (left, right) in enumerate(itertools.pairwise(names))]
    persons = Persons(ANYONE)
    persons.apply(persons.prepare(edges(chain[::2]), Nodes([])))
    persons.apply(persons.prepare(edges(chain[1::2]), Nodes([])))
    person = persons.find(names[-1], Nodes([]))
    assert person and len(person.members) == 2_000
