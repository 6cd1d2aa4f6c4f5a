"""What explain says over real tables: it is what the oracle says, at every cut and head; and each edge comes with its evidence."""

import tempfile
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from millrace.definitions import Definitions
from millrace.identity.decisions import Decisions, contradiction, read_decisions
from millrace.identity.nodes import NAMESPACES, person_id
from millrace.tables.catalogue import NODES
from serving.explain.answers import Edge, Explanation, SuperNodes, Why
from tests.laws.edge_sets import decision_sets, edge_sets
from tests.laws.oracle_persons import Decided, Rules, judge
from tests.serving.explain.ruled import ANN, BOB, CAT, DEVICE, KIOSK, MAIL, PHONE, VIEWS, Explained, together
from tests.serving.store.by_hand import PATIENT, SECRET, Order, Placed, edges_of


@pytest.fixture
def tenant(tmp_path: Path) -> Explained:
    return Explained(tmp_path)


def explained(tenant: Explained, node: str, limit: int = 500) -> Explanation:
    return tenant.ask(("explain", limit), node)


def why(tenant: Explained, a: str, b: str) -> Why:
    return tenant.ask(("why", b), a)


def pairs(edges: list[Edge]) -> set[tuple[str, str, str | None]]:
    return {(edge.a.node, edge.b.node, edge.reason) for edge in edges}


def test_an_edge_has_the_evidence_of_both_layers(tenant: Explained) -> None:
    tenant.write(Order(ANN, at="2025-01-10T12:00:00Z", also=(MAIL,)))
    tenant.publish(cut=1)
    tenant.write(Order(ANN, at="2025-01-10T13:00:00Z", also=(MAIL,)), Order(ANN, at="2025-01-09T13:00:00Z", also=(DEVICE,)))
    found = explained(tenant, MAIL)
    old, new = sorted(found.graph.edges, key=lambda edge: edge.layer)
    assert (old.layer, old.seen_count, old.first_at, old.last_at) == ("merged", 2, "2025-01-10T12:00:00Z", "2025-01-10T13:00:00Z")
    assert (new.layer, new.seen_count, new.first_seen.epoch, new.first_seen.offset) == ("speed", 1, 2, 2)
    assert (old.a.namespace, old.a.value, old.b.value) == ("email", "m•••", "n•••")
    assert {node.person_id for node in found.graph.nodes} == {found.person_id} == {person_id(MAIL)}
    assert (found.receipt.manifest_id, found.receipt.cut, found.receipt.head) == (1, 1, 2)


def test_a_kiosk_is_named_with_its_degree_and_keeps_a_person_of_its_own(tenant: Explained) -> None:
    tenant.write(*together((ANN, KIOSK), (ANN, MAIL)))
    tenant.publish(cut=1)
    tenant.write(*together((BOB, KIOSK), (CAT, KIOSK)))
    of_ann = explained(tenant, ANN)
    assert pairs(of_ann.graph.edges) == {(MAIL, ANN, None)} and pairs(of_ann.graph.refused) == {(KIOSK, ANN, "shared")}
    (kiosk,) = (node for node in of_ann.graph.nodes if node.node == KIOSK)
    assert (kiosk.linked, kiosk.isolated, kiosk.person_id) == (3, "shared", None)
    assert (of_ann.graph.refused[0].because or "").startswith("anonymous_id k••• [kiosk]: it was seen with several people's identifiers")
    itself = explained(tenant, KIOSK)
    assert (itself.person_id, itself.identifier.isolated, len(itself.graph.refused)) == (person_id(KIOSK), "shared", 3)
    assert "is a person of its own" in itself.because


def test_a_node_beside_the_component_is_judged_by_all_of_its_edges(tenant: Explained) -> None:
    """The phone is shared by Bob and Cat, of whom Ann's kiosk knows nothing."""
    tenant.write(*together((ANN, KIOSK), (BOB, KIOSK), (BOB, PHONE), (CAT, PHONE), (PHONE, KIOSK)))
    tenant.publish(cut=1)
    (phone,) = (node for node in explained(tenant, KIOSK).graph.nodes if node.node == PHONE)
    assert (phone.isolated, phone.linked) == ("shared", 3)


def test_blocked_values_are_named_and_counted_without_being_joined(tenant: Explained) -> None:
    rules = tenant.definitions.identity.compiled(SECRET)
    nobody = min(node for node in rules.blocked if node.startswith("email:"))
    tenant.write(*together((ANN, nobody), (BOB, nobody)))
    tenant.publish(cut=1)
    found = explained(tenant, ANN)
    (edge,) = found.graph.refused
    (shown,) = (node for node in found.graph.nodes if node.namespace == "email")
    assert (edge.reason, shown.linked, shown.isolated) == ("blocked", 2, "blocked")
    assert len(shown.node.partition(":")[2]) == 8 and nobody not in str(found)


def test_the_way_between_two_identifiers_of_a_person_is_the_shortest(tenant: Explained) -> None:
    tenant.write(*together((ANN, MAIL), (MAIL, PHONE), (PHONE, DEVICE), (ANN, PHONE)))
    tenant.publish(cut=1)
    found = why(tenant, ANN, DEVICE)
    assert found.same_person and pairs(found.path) == {(PHONE, ANN, None), (DEVICE, PHONE, None)}
    assert [edge.layer for edge in found.path] == ["batch", "batch"]


@pytest.mark.parametrize("cut", [0, 1])
def test_what_keeps_two_apart_is_on_the_shortest_way_however_long(tenant: Explained, cut: int) -> None:
    way = [ANN, KIOSK, BOB, PHONE, CAT, DEVICE, "user_id:dan", "email:x", "user_id:eve"]
    tenant.write(*together(*pairwise(way), ("user_id:far", "user_id:far")))
    if cut:
        tenant.publish(cut=cut)
    found = why(tenant, ANN, "user_id:eve")
    assert (found.same_person, found.connected, len(found.path)) == (False, True, 8)
    assert {edge.reason for edge in found.path} == {"shared"} and "8 of 8 edges" in found.because
    apart = why(tenant, ANN, "user_id:far")
    assert (apart.same_person, apart.connected, apart.path) == (False, False, []) and "nothing connects them" in apart.because


def test_a_way_through_blocked_values_nobody_has_read_is_found_when_it_is_shorter(tenant: Explained) -> None:
    one, other = sorted(tenant.definitions.identity.compiled(SECRET).blocked)[:2]
    tenant.write(*together((ANN, one), (one, other), (other, BOB), (ANN, KIOSK), (KIOSK, CAT), (CAT, PHONE), (PHONE, BOB)))
    tenant.publish(cut=1)
    assert [edge.reason for edge in why(tenant, ANN, BOB).path] == ["blocked"] * 3


def test_a_way_past_strangers_is_found_when_it_is_shorter_than_one_through_the_persons_themselves(tenant: Explained) -> None:
    long = [ANN, "email:1", "anonymous_id:1", "email:2", "anonymous_id:2", PHONE, BOB]
    short = [ANN, KIOSK, CAT, "email:x", "user_id:dan", DEVICE, BOB]
    tenant.write(*together(*pairwise(long), *pairwise(short[:3]), *pairwise(short[4:]), (CAT, "user_id:dan")))
    tenant.publish(cut=1)
    found = why(tenant, ANN, BOB)
    assert [edge.reason for edge in found.path] == ["shared", "shared", None, "shared", "shared"]


def test_verdicts_do_not_come_from_what_batch_says_of_components(tmp_path: Path) -> None:
    class Astray(Explained):
        """Batch takes each node for a person of its own, and one for shared that is not."""

        def nodes(self, placed: list[Placed]) -> pa.Table:
            rows = super().nodes(placed).to_pylist()
            lost = [row | {"person_id": person_id(row["node"]), "component": person_id(row["node"]), "isolated": "shared" if row["node"] == MAIL else None} for row in rows]
            return pa.Table.from_pylist(lost, schema=NODES)

    tenant = Astray(tmp_path)
    tenant.write(*together((ANN, MAIL), (MAIL, PHONE), (PHONE, DEVICE), (DEVICE, "email:far"), (ANN, KIOSK), (BOB, KIOSK)))
    tenant.publish(cut=1)
    found = explained(tenant, ANN)
    assert {node.node for node in found.graph.nodes if node.person_id == found.person_id} == {ANN, MAIL, PHONE, DEVICE, "email:far"}
    assert pairs(found.graph.refused) == {(KIOSK, ANN, "shared")} and why(tenant, "email:far", ANN).same_person


def test_one_identifier_is_one_person(tenant: Explained) -> None:
    tenant.write(*together((ANN, ANN)))
    found = why(tenant, ANN, ANN)
    assert (found.same_person, found.path) == (True, [])


def test_the_nearest_edges_are_shown_and_the_rest_is_counted(tenant: Explained) -> None:
    tenant.write(*together(*((ANN, f"anonymous_id:{number:03d}") for number in range(40)), *((f"anonymous_id:{number:03d}", f"email:{number}") for number in range(40))))
    tenant.publish(cut=1)
    found = explained(tenant, "email:7", limit=30)
    assert found.graph.truncated and len(found.graph.edges) == 30 and len(found.graph.nodes) == 31
    assert (found.graph.counts.nodes, found.graph.counts.edges) == (81, 80)
    assert (found.graph.edges[0].b.node, found.graph.edges[1].b.node) == ("email:7", ANN)
    assert not explained(tenant, "email:7", limit=80).graph.truncated


def test_supernodes_are_listed_with_degree_reason_and_a_sample(tenant: Explained) -> None:
    tenant.write(*together(*((f"user_id:{number}", KIOSK) for number in range(7)), (ANN, MAIL)))
    tenant.publish(cut=1)
    tenant.write(*together(*((ANN, f"anonymous_id:{number}") for number in range(6)), (BOB, MAIL)))
    found = tenant.ask(("supernodes", 3))
    assert isinstance(found, SuperNodes)
    assert [(one.node, one.linked, one.isolated) for one in found.supernodes] == [(KIOSK, 7, "shared"), (ANN, 7, None), (MAIL, 2, "shared")]
    assert found.supernodes[1].linked_by_namespace == {"anonymous_id": 6, "email": 1}
    assert len(found.supernodes[0].sample) == 5 and found.supernodes[0].sample[0].value == "0•••"
    assert found.isolated == {"blocked": 0, "shared": 2}


@pytest.mark.parametrize("how", ["alias", "decision", "decision by way of a phone"])
def test_a_neighbour_that_is_free_because_its_own_neighbours_are_one_is_not_called_shared(tenant: Explained, how: str) -> None:
    """The mail's kiosk is Bob's and Cat's, of whom the mail knows nothing; they turn out to be one after the cut."""
    tenant.write(*together((MAIL, KIOSK), (BOB, KIOSK), (CAT, KIOSK), (PHONE, PHONE)))
    tenant.publish(cut=1)
    assert explained(tenant, MAIL).graph.refused[0].reason == "shared"
    if how == "alias":
        tenant.write(*together((BOB, CAT)))
    for pair in {"decision": [(BOB, CAT)], "decision by way of a phone": [(PHONE, BOB), (PHONE, CAT)]}.get(how, []):
        tenant.decide("join", *pair)
    found = explained(tenant, MAIL)
    assert {node.node for node in found.graph.nodes} >= {MAIL, KIOSK, BOB, CAT} and not found.graph.refused
    assert why(tenant, MAIL, CAT).same_person
    listed = tenant.ask(("supernodes", 5))
    assert isinstance(listed, SuperNodes) and listed.isolated == {"blocked": 0, "shared": 0}


@settings(PATIENT, max_examples=30)
@given(
    sightings=edge_sets(), cut=st.integers(0, 6), head=st.integers(0, 6), before=decision_sets(), after=decision_sets(), is_withdrawn=st.booleans(),
    chance=st.randoms(use_true_random=False), crowded_from=st.sampled_from([None, 3, 5]),
)  # fmt: skip
def test_explain_says_what_the_oracle_says(
    sightings: list, cut: int, head: int, before: tuple[Decisions, Decided], after: tuple[Decisions, Decided], is_withdrawn: bool, chance, crowded_from: int | None
) -> None:
    cut, head = min(cut, head), max(cut, head)
    with tempfile.TemporaryDirectory() as folder:
        tenant = Explained(Path(folder), Definitions.model_validate({"views": VIEWS, "identity": {"namespaces": crowding(crowded_from)}}))
        for epoch in range(1, head + 1):
            rows = [one for one in sightings if one[2][0] == epoch]
            tenant.write(*together(*((one, other) for one, other, _ in rows)))
        tenant.decide_all(before[0])
        if cut:
            tenant.publish(cut=cut)
        if is_withdrawn:
            for number in range(1, read_decisions(tenant.tables).number + 1):
                tenant.decide("withdraw", withdraws=number)
        tenant.decide_all(after[0])
        standing = read_decisions(tenant.tables)
        assume(contradiction(standing) is None)
        decided = Decided(standing.joined, standing.parted, standing.removed)
        seen = [(min(row["a"], row["b"]), max(row["a"], row["b"]), tuple(row["first_seen"].values())) for row in edges_of(tenant.log)]
        expected = judge(seen, Rules(crowded_from=dict.fromkeys(NAMESPACES, crowded_from)), decided)
        person = {node: person for person, nodes in expected.members.items() for node in nodes}
        if not person:
            return
        node, *others = [chance.choice(sorted(person)) for _ in range(4)]
        found = explained(tenant, node)
        assert found.person_id == person[node]
        assert found.identifier.isolated == expected.isolated.get(node)
        assert {(one.node, one.person_id) for one in found.graph.nodes if one.person_id} <= set(person.items())
        assert {one.node: one.isolated for one in found.graph.nodes} == {one.node: expected.isolated.get(one.node) for one in found.graph.nodes}
        assert {one for one, of in person.items() if of == person[node]} <= {one.node for one in found.graph.nodes}
        assert pairs(found.graph.refused) <= {(*pair, reason) for pair, reason in expected.refused.items()}
        joined = {pair for pair in decided.joined if person.keys() >= set(pair) and decided.removed.isdisjoint(pair)}
        assert {pair for pair in joined if person[pair[0]] == person[node]} <= {edge[:2] for edge in pairs(found.graph.edges)}
        assert {pair for pair in expected.refused if node in pair} <= {edge[:2] for edge in pairs(found.graph.refused)}
        assert not {edge[:2] for edge in pairs(found.graph.edges)} & expected.refused.keys()
        for other in others:
            _check_why(why(tenant, node, other), node, other, person, expected.refused, joined | {(row["a"], row["b"]) for row in edges_of(tenant.log)})
        listed = tenant.ask(("supernodes", 100))
        reasons = list(expected.isolated.values())
        assert listed.isolated == {reason: reasons.count(reason) for reason in {"blocked", "shared", *reasons}}
        assert {one.node: one.isolated for one in listed.supernodes} == {one.node: expected.isolated.get(one.node) for one in listed.supernodes}


def crowding(least: int | None) -> dict:
    return {name: {"unique": name == "user_id", "crowded_from": least} for name in NAMESPACES}


def _check_why(found: Why, a: str, b: str, person: dict[str, str], refused: dict[tuple[str, str], str], edges: set[tuple[str, str]]) -> None:
    same = person[a] == person[b]
    assert found.same_person == same
    assert pairs(found.path) == {(edge.a.node, edge.b.node, refused.get((edge.a.node, edge.b.node))) for edge in found.path}
    assert not same or all(edge.reason is None for edge in found.path)
    length = steps(edges - refused.keys() if same else edges, a, b)
    assert (found.connected, len(found.path)) == (length is not None, length or 0)


def steps(edges: set[tuple[str, str]], start: str, goal: str) -> int | None:
    """Edges on a shortest way, found by widening circles."""
    reached, circle, count = {start}, {start}, 0
    while circle:
        if goal in circle:
            return count
        circle = {other for a, b in edges for one, other in ((a, b), (b, a)) if one in circle} - reached
        reached |= circle
        count += 1
    return None
