"""Law 1: batch up to any cut, merged with the increments after it, equals one pass over the log, row by row; and both equal the oracle, value by value.

Law 2 follows from it here: whatever the cut, the answers are the same.
"""

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.identity.edges import edges_of
from millrace.traits.finish import time_text
from millrace.traits.fold import fold_events
from serving.store.layout import Layout, decode, encode
from serving.store.persons import Persons as StorePersons
from serving.store.plan import Plan
from speed.seen import SeenIndex
from tests.laws.batch_nodes import BatchNodes
from tests.laws.histories import DAY, HOUR, MINUTE, SECRET, START
from tests.laws.law import histories, law
from tests.laws.oracle import answers, persons_of, read_log, rules_of
from tests.laws.product import RULES, Persons, comparable, events_table, finished, fold_epochs, merge_rows, python_rows, view_of

PEOPLE = rules_of(SECRET)
TIMES = st.sampled_from([START, START + DAY - 1, START + DAY, START + DAY + 1, START + 26 * HOUR + 7 * MINUTE, START + 4 * DAY, START - 10 * DAY, START + 700 * DAY])
_examples = itertools.count()


@pytest.fixture(scope="module")
def seen(tmp_path_factory) -> SeenIndex:
    return SeenIndex(tmp_path_factory.mktemp("seen") / "index", map_size=1 << 30)


def counted_by_speed(accepted: pa.Table, seen: SeenIndex) -> pa.Table:
    """What the speed layer counts, epoch by epoch. Keys get a prefix, so that the examples can share one index."""
    prefix, parts = b"%8d" % next(_examples), [accepted.slice(0, 0)]
    for epoch in sorted(set(accepted["epoch"].to_pylist())):
        rows = accepted.filter(pc.field("epoch") == epoch)
        keys = pa.array([prefix + key[:8] for key in rows["dedup_key"].to_pylist()], pa.binary())
        parts.append(rows.filter(pa.array(~np.asarray(seen.mark(keys, epoch)))))
    return pa.concat_tables(parts)


@law()
@given(history=histories(), as_of=TIMES)
def test_batch_up_to_any_cut_and_speed_after_it_equal_one_pass_and_the_oracle(history, as_of, seen):
    records, traits = history
    view, log = view_of(traits), read_log(records, SECRET)
    counted = counted_by_speed(events_table(log.accepted, view), seen)
    parts = fold_epochs(counted, view)
    once = comparable(python_rows(fold_events(counted, view.states), view.states), view.states)
    expected = answers(log.counted, traits, as_of, PEOPLE)
    for cut in range(len(parts) + 1):
        batch = merge_rows([rows for rows, _ in parts[:cut]], view.states)
        speed = merge_rows([rows for rows, _ in parts[cut:]], view.states)
        merged = merge_rows([batch, speed], view.states)
        assert comparable(merged, view.states) == once
        persons = Persons()
        for _, edges in parts[cut:] + parts[:cut]:
            persons.add(edges)
        assert persons.members() == persons_of(log.counted, PEOPLE)
        assert finished(merged, persons.members(), view, as_of) == expected


@law(share=0.25)
@given(history=histories(), as_of=TIMES, cut=st.integers(0, 4))
def test_the_store_reads_the_same_answers_at_every_cut(history, as_of, cut):
    records, traits = history
    view, log = view_of(traits), read_log(records, SECRET)
    counted = events_table(log.counted, view)
    old, new = counted.filter(pc.field("epoch") <= cut), counted.filter(pc.field("epoch") > cut)
    layout = Layout(view)
    base, persons, slots = BatchNodes(edges_of(old), RULES), StorePersons(RULES), {}
    batch = {node: encode(found) for node, found in layout.fold(fold_events(old, view.states)).items()}
    for epoch in sorted(set(new["epoch"].to_pylist())):
        rows = new.filter(pc.field("epoch") == epoch)
        persons.apply(persons.prepare(edges_of(rows), base))
        for node, found in layout.fold(fold_events(rows, view.states)).items():
            slots[node] = encode(layout.merge(decode(slots[node]), found) if node in slots else found)
    plan, expected = Plan(view, layout), answers(log.counted, traits, as_of, PEOPLE)
    for person, members in persons_of(log.counted, PEOPLE).items():
        for node in members:
            found = persons.find(node, base)
            assert found is not None and found.id == person and {member.node for member in found.members} == members
        shown = plan.read(*([decode(kept[node]) for node in sorted(members) if node in kept] for kept in (batch, slots)), as_of)
        assert {name: answer.value for name, answer in shown.items()} == expected[person]
        assert {answer.layer for answer in shown.values()} <= {None, "batch", "speed", "merged"}


def test_no_events_make_no_rows_and_no_persons():
    view = view_of({"orders": {"op": "count"}, "spend": {"op": "sum", "value": "properties.revenue", "window": "3d"}})
    none = events_table([], view)
    assert len(fold_events(none, view.states)) == len(edges_of(none)) == 0
    assert time_text(START) == "2026-03-01T00:00:00Z"


def test_the_seen_index_of_these_laws_is_the_one_speed_uses(seen: SeenIndex, tmp_path: Path):
    assert type(seen).__module__ == "speed.seen"
