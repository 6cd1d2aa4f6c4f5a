"""Who is looked at again when a decision changes what others may be."""

from millrace.identity.decisions import Decisions
from millrace.identity.rules import IdentityRules
from serving.store.persons import Persons
from tests.laws.batch_nodes import BatchNodes
from tests.laws.edge_sets import edges_table

RULES = IdentityRules().compiled(b"")
ANN, ANNIE, BOB, DEVICE = "user_id:ann", "user_id:annie", "user_id:bob", "anonymous_id:d"


def batch_of(*pairs: tuple[str, str]) -> BatchNodes:
    return BatchNodes(edges_table([(one, other, (1, 0, at)) for at, (one, other) in enumerate(pairs)]), RULES)


def removed(node: str) -> Decisions:
    return Decisions(1, removed=frozenset({node}))


def together(persons: Persons, base: BatchNodes) -> list[str]:
    found = persons.find(DEVICE, base)
    return [member.node for member in found.members] if found else []


def test_a_device_of_one_user_under_two_names_is_his_again_when_the_other_user_is_removed() -> None:
    """That the two names are one user is told by an edge that touches neither the device nor the one removed."""
    base, persons = batch_of((ANN, ANNIE), (DEVICE, ANN), (DEVICE, ANNIE), (DEVICE, BOB)), Persons(RULES)
    assert together(persons, base) == [DEVICE]
    persons.apply(persons.redecide(removed(BOB), base))
    assert together(persons, base) == [ANN, ANNIE, DEVICE]


def test_a_kiosk_stays_shared_when_one_of_many_users_is_removed_and_nobody_else_is_looked_at() -> None:
    users = [f"user_id:{number}" for number in range(30)]
    base, persons = batch_of(*((DEVICE, user) for user in users)), Persons(RULES)
    change = persons.redecide(removed(users[0]), base)
    assert change.nodes.keys() == {DEVICE, users[0]}
