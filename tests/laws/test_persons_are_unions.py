"""Law 10: an event's measures belong to one node; persons are unions of nodes, so that joining or parting people rewrites no state."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from millrace.identity.edges import edges_of
from millrace.identity.nodes import node_of as product_node_of
from millrace.identity.nodes import person_id as product_person_id
from millrace.traits.fold import fold_events
from tests.laws.histories import SECRET
from tests.laws.law import histories, law
from tests.laws.oracle import answers, node_of, person_id, persons_of, read_log, rules_of
from tests.laws.product import Persons, comparable, events_table, python_rows, view_of

PEOPLE = rules_of(SECRET)


@law(share=0.2)
@given(history=histories())
def test_every_event_is_measured_at_exactly_one_node(history):
    view, log = view_of({"all": {"op": "count"}}), read_log(history[0], SECRET)
    found = python_rows(fold_events(events_table(log.counted, view), view.states), view.states)
    owners = [event.nodes[0] for event in log.counted]
    assert {node: values["count"] for (node, _, _), values in found.items()} == {node: owners.count(node) for node in owners}


@law(share=0.2)
@given(history=histories(), joined=st.tuples(st.integers(0, 99), st.integers(0, 99)))
def test_joining_two_people_and_parting_them_again_changes_no_state(history, joined):
    """One more edge joins two nodes. States stay as they are; without the edge the persons are as before, ids included."""
    records, traits = history
    view, log = view_of(traits), read_log(records, SECRET)
    if not log.counted:
        return
    nodes = sorted({node for event in log.counted for node in event.nodes})
    pair = (nodes[joined[0] % len(nodes)], nodes[joined[1] % len(nodes)])
    last = max(log.counted, key=lambda event: event.record.position)
    link = replace(last, nodes=pair if pair[0] != pair[1] else pair[:1], record=replace(last.record, epoch=last.record.epoch + 1))
    table, with_link = events_table(log.counted, view), events_table([*log.counted, link], view)
    apart = Persons().add(edges_of(table))
    together = Persons().add(edges_of(with_link))
    assert together.members() == persons_of([*log.counted, link], PEOPLE)
    assert Persons().add(edges_of(table)).members() == apart.members() == persons_of(log.counted, PEOPLE)
    before, after = (comparable(python_rows(fold_events(one, view.states), view.states), view.states) for one in (table, with_link))
    assert {key: values for key, values in after.items() if key[0] != pair[0]} == {key: values for key, values in before.items() if key[0] != pair[0]}


@law(share=0.15)
@given(history=histories(), as_of=st.just(10**16))
def test_counts_of_all_persons_add_up_to_the_events_of_the_log(history, as_of):
    """A conservation law that holds at every read: whoever is joined with whom, no event is in two persons and none in no person."""
    log = read_log(history[0], SECRET)
    found = answers(log.counted, {"all": {"op": "count"}}, as_of, PEOPLE)
    assert sum(person["all"] for person in found.values()) == len(log.counted)
    members = [node for nodes in Persons().add(edges_of(events_table(log.counted, view_of({"all": {"op": "count"}})))).members().values() for node in nodes]
    assert len(members) == len(set(members)) == len({node for event in log.counted for node in event.nodes})


@law(share=0.5)
@given(namespace=st.sampled_from(["user_id", "email", "phone", "anonymous_id"]), value=st.text(max_size=12) | st.text("+0 1\u00a0Aaİ@.\t", max_size=8))
def test_nodes_and_person_ids_of_product_and_oracle_are_the_same(namespace, value):
    found = product_node_of(namespace, value, SECRET)
    assert found == node_of(namespace, value, SECRET)
    assert found is None or product_person_id(found) == person_id(found)
