"""The order law: which edges came first, in which batches and how often changes nothing about who is one person; and rules are kept as the oracle keeps them."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from batch.head import nodes_around
from millrace.identity.resolution import EVIDENCE, Resolution, resolve
from millrace.tables.catalogue import SPEED_EDGES
from serving.store.persons import Persons
from tests.laws import oracle_persons as oracle
from tests.laws.batch_nodes import BatchNodes
from tests.laws.edge_sets import decision_sets, edge_sets, edges_table, rule_sets, shuffled_with_repeats
from tests.laws.law import law


def members(found: Resolution) -> dict[str, frozenset[str]]:
    people: dict[str, set[str]] = {}
    for node, person in zip(found.nodes["node"].to_pylist(), found.nodes["person_id"].to_pylist(), strict=True):
        people.setdefault(person, set()).add(node)
    return {person: frozenset(nodes) for person, nodes in people.items()}


def refused(edges: pa.Table, found: Resolution) -> dict[tuple[str, str], str]:
    rows = zip(edges["a"].to_pylist(), edges["b"].to_pylist(), found.refused.to_pylist(), strict=True)
    verdicts = {(a, b, reason) for a, b, reason in rows}
    assert len({verdict[:2] for verdict in verdicts}) == len(verdicts), "two rows of one pair are judged differently"
    return {(a, b): reason for a, b, reason in verdicts if reason}


@law(share=0.75)
@given(sightings=edge_sets(), rules=rule_sets(), decided=decision_sets(), chance=st.randoms(use_true_random=False))
def test_any_order_and_repetition_of_edges_gives_the_persons_and_the_verdicts_of_the_oracle(sightings, rules, decided, chance):
    given_rules, expected = rules[0], oracle.judge(sightings, rules[1], decided[1])
    first = None
    for edges in (edges_table(sightings), edges_table(shuffled_with_repeats(sightings, chance))):
        found = resolve(edges, given_rules, decided[0])
        assert members(found) == expected.members
        assert refused(edges, found) == expected.refused
        assert {node: reason for node, reason in zip(*(found.nodes[name].to_pylist() for name in ("node", "isolated")), strict=True) if reason} == expected.isolated
        assert first is None or found.nodes.equals(first)
        first = found.nodes


@law(share=0.25)
@given(sightings=edge_sets(), rules=rule_sets(), decided=decision_sets())
def test_a_component_is_a_union_of_persons_that_no_accepted_edge_leaves(sightings, rules, decided):
    edges = edges_table(sightings)
    found = resolve(edges, rules[0], decided[0])
    component = dict(zip(found.nodes["node"].to_pylist(), found.nodes["component"].to_pylist(), strict=True))
    person = dict(zip(found.nodes["node"].to_pylist(), found.nodes["person_id"].to_pylist(), strict=True))
    assert all(component[node] == next(component[other] for other in person if person[other] == person[node]) for node in person)
    assert set(component.values()) <= set(person.values())
    for a, b, reason in zip(edges["a"].to_pylist(), edges["b"].to_pylist(), found.refused.to_pylist(), strict=True):
        assert (person[a] == person[b]) == (reason is None)
        assert component[a] == component[b] or reason is not None


@law(share=0.75)
@given(
    sightings=edge_sets(), rules=rule_sets(), decided=decision_sets(), again=decision_sets(), when=st.integers(1, 6), cut=st.integers(0, 6),
    widths=st.lists(st.integers(1, 3), min_size=6, max_size=6), chance=st.randoms(use_true_random=False),
)  # fmt: skip
def test_batch_at_any_cut_and_the_epochs_and_decisions_after_it_give_the_persons_of_everything(sightings, rules, decided, again, when, cut, widths, chance):
    base = BatchNodes(edges_table([one for one in sightings if one[2][0] <= cut]), rules[0], decided[0])
    persons, until, standing = Persons(rules[0], decided[0]), cut, decided[1]
    for number, width in enumerate(widths, start=1):
        step = [one for one in sightings if until < one[2][0] <= until + width]
        until += width
        if number == when:
            persons.apply(persons.redecide(again[0], base))
            standing = again[1]
        persons.apply(persons.prepare(edges_table(shuffled_with_repeats(step, chance), SPEED_EDGES), base))
        check_store(persons, base, oracle.judge([one for one in sightings if one[2][0] <= until], rules[1], standing).members)


@law(share=0.1)
@given(sightings=edge_sets(), rules=rule_sets(), decided=decision_sets(), again=decision_sets(), cut=st.integers(1, 5))
def test_what_a_refresh_finds_around_newer_edges_and_decisions_is_what_all_edges_say(sightings, rules, decided, again, cut):
    older, newer = (edges_table([one for one in sightings if (one[2][0] > cut) == is_newer]).select(list(EVIDENCE)) for is_newer in (False, True))
    published = resolve(older, rules[0], decided[0]).nodes
    about = pa.array(sorted(decided[0].nodes | again[0].nodes), pa.string())
    found = {row["node"]: row for row in published.to_pylist()}
    found |= {row["node"]: row for row in nodes_around(published, older, newer, rules[0], decided=about, decisions=again[0]).to_pylist()}
    assert found == {row["node"]: row for row in resolve(edges_table(sightings), rules[0], again[0]).nodes.to_pylist()}


def check_store(persons: Persons, base: BatchNodes, expected: dict[str, frozenset[str]]) -> None:
    """Ids and members by each node; and every node that batch knows is in exactly one of the parts that batch states are read from."""
    for person, nodes in expected.items():
        for node in nodes:
            found = persons.find(node, base)
            assert found is not None and (found.id, frozenset(member.node for member in found.members)) == (person, nodes)
            of_batch = [member.node for _, members in found.of_batch for member in members]
            assert sorted(of_batch) == sorted(node for node in nodes if base.person_of(node))
            assert all(len(members) == 1 or unit == base.person_of(members[0].node) for unit, members in found.of_batch)
