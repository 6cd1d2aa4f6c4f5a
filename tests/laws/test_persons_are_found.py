"""Accuracy: of histories in which it is known who is who, the resolution finds the people again; with what makes that hard, nearly all and never a blob."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from bench.clusterings import Agreement, agreement
from bench.identity_histories import History, Troubles, json_messages, make_history, random_nodes, standard_events, value_of
from millrace.events.standard import Standardizer
from millrace.identity.edges import edges_of
from millrace.identity.nodes import NAMESPACES, node_of
from millrace.identity.resolution import resolve
from millrace.identity.rules import IdentityRules, Rules
from tests.laws.histories import SECRET, START, arrow_events
from tests.laws.oracle import Record, read_log
from tests.millrace.records import as_table
from tests.tiers import SEED

RULES = IdentityRules().compiled(SECRET)
NO_RULES = IdentityRules.model_validate({"namespaces": {name: {} for name in NAMESPACES}}).compiled(SECRET)
USUAL = Troubles(shared_devices=0.05, junk=0.001)
EVERYTHING = Troubles(shared_devices=0.05, junk=0.001, shared_emails=0.02, recycled_phones=0.02, twins=0.01, kiosks=2, kiosk_users=300)
Case = tuple[History, pa.Array, pa.Table]
"""Who is who, the node of each identifier, edges."""


def from_events(troubles: Troubles) -> Case:
    history = make_history(100_000, seed=SEED, troubles=troubles)
    nodes = random_nodes(history, seed=SEED).to_pylist()
    for code, value in enumerate(history.junk, len(nodes) - len(history.junk)):
        nodes[code] = node_of(NAMESPACES[history.space[code]], value, SECRET)
    nodes = pa.array(nodes, pa.string())
    return history, nodes, edges_of(standard_events(history, nodes))


def from_messages(troubles: Troubles) -> Case:
    """JSON as the collector puts it into the log, read by the book, through the product's edges."""
    history, nodes, records = some_messages(troubles)
    return history, nodes, edges_of(arrow_events(read_log(records, SECRET).counted, (), "{}{}".format))


def some_messages(troubles: Troubles) -> tuple[History, pa.Array, list[Record]]:
    """Among few messages, junk may by chance meet a single user, as whose it is then taken: one history, not a random one."""
    history = make_history(2_000, seed=5, troubles=troubles)
    records = [Record(value, number % 2, number // 2, START + number, "shop", 1) for number, value in enumerate(json_messages(history, seed=5))]
    return history, pa.array([node_of(NAMESPACES[space], value_of(history, code), SECRET) for code, space in enumerate(history.space)], pa.string()), records


def compared(case: Case, rules: Rules) -> Agreement:
    """Over the identifiers that the edges show."""
    history, nodes, edges = case
    found = resolve(edges, rules).nodes
    code = pc.index_in(found["node"], value_set=nodes).to_numpy()
    person = pc.index_in(found["person_id"], value_set=found["person_id"].unique()).to_numpy()
    return agreement(person, history.label[code])


@pytest.mark.parametrize("make", [from_events, from_messages])
def test_without_noise_everyone_is_found_exactly(make):
    found = compared(make(Troubles()), RULES)
    assert found == Agreement(1.0, 1.0, 1.0, 1.0, 1.0, found.largest, 0)
    assert found.largest > 4


@pytest.mark.parametrize("troubles", [USUAL, EVERYTHING], ids=["shared devices and junk", "everything"])
@pytest.mark.parametrize("make", [from_events, from_messages])
def test_with_noise_nobody_is_joined_with_a_stranger_and_hardly_anybody_is_parted(make, troubles):
    case = make(troubles)
    found = compared(case, RULES)
    assert min(found.precision, found.bcubed_precision) >= 0.999
    assert min(found.recall, found.bcubed_recall) >= 0.99
    assert found.excess <= 1
    assert compared(case, NO_RULES).precision < 0.9, "without the rules there would be blobs"


def test_the_log_of_the_messages_shows_every_identifier():
    history, nodes, edges = from_messages(EVERYTHING)
    shown = nodes.take(pa.array(np.unique(history.messages[history.messages >= 0])))
    assert set(edges["a"].to_pylist()) | set(edges["b"].to_pylist()) == set(shown.to_pylist())
    assert len(set(nodes.to_pylist())) == len(nodes)


def test_the_speed_layer_finds_the_same_people_in_the_messages():
    history, nodes, records = some_messages(EVERYTHING)
    found = Standardizer([], SECRET).standardize(as_table(records))
    assert found["reason"].null_count == len(records)
    edges = edges_of(found.append_column("epoch", pa.array([1] * len(found), pa.int64())))
    expected = from_messages(EVERYTHING)
    assert compared((history, nodes, edges), RULES) == compared(expected, RULES)
    assert edges.select(["a", "b"]).sort_by([("a", "ascending"), ("b", "ascending")]) == expected[2].select(["a", "b"]).sort_by([("a", "ascending"), ("b", "ascending")])
