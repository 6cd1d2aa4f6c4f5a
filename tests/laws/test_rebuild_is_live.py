"""Law 9: what is folded anew from the log in any order equals what was folded live, person ids included."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from millrace.identity.edges import edges_of
from millrace.traits.fold import fold_events
from tests.laws.histories import SECRET
from tests.laws.law import histories, law
from tests.laws.oracle import persons_of, read_log, rules_of
from tests.laws.product import Persons, comparable, events_table, fold_epochs, merge_rows, python_rows, view_of

PEOPLE = rules_of(SECRET)


def in_order(rows: pa.Table, *keys: str) -> pa.Table:
    return rows.sort_by([(key, "ascending") for key in keys])


@law(share=0.2)
@given(history=histories(), order=st.randoms(use_true_random=False))
def test_shuffled_events_fold_into_equal_tables(history, order):
    view, log = view_of(history[1]), read_log(history[0], SECRET)
    table = events_table(log.counted, view)
    rows = list(range(len(table)))
    order.shuffle(rows)
    shuffled = table.take(pa.array(rows, pa.int64()))
    exact = [name for name in fold_events(table, view.states).column_names if not name.startswith("distinct")]
    live, again = (in_order(fold_events(one, view.states), "key", "hop", "hop_start") for one in (table, shuffled))
    assert again.select(exact).equals(live.select(exact))
    assert comparable(python_rows(again, view.states), view.states) == comparable(python_rows(live, view.states), view.states)
    edges, edges_again = (in_order(edges_of(one), "a", "b") for one in (table, shuffled))
    assert edges_again.equals(edges)


@law(share=0.2)
@given(history=histories(), order=st.randoms(use_true_random=False))
def test_person_ids_are_the_same_from_one_pass_from_epochs_and_in_any_order(history, order):
    view, log = view_of(history[1]), read_log(history[0], SECRET)
    table = events_table(log.counted, view)
    parts = fold_epochs(table, view)
    order.shuffle(parts)
    live = Persons()
    for _, edges in parts:
        live.add(edges)
    assert live.members() == Persons().add(edges_of(table)).members() == persons_of(log.counted, PEOPLE)
    merged = merge_rows([rows for rows, _ in parts], view.states)
    assert comparable(merged, view.states) == comparable(python_rows(fold_events(table, view.states), view.states), view.states)
