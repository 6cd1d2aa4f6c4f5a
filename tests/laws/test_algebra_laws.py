"""Law 4: the merge of every kind of state is associative, commutative and has a zero; the fold over any split in any order equals the fold over all."""

import functools

import pyarrow as pa
import pytest
from datasketches import hll_sketch, tgt_hll_type
from hypothesis import given
from hypothesis import strategies as st

from millrace.traits.algebra import KINDS, merge_all
from millrace.traits.fold import fold_events
from millrace.traits.sketches import LG_K, estimate, merge_sketches
from tests.laws.histories import SECRET
from tests.laws.law import histories, law
from tests.laws.oracle import read_log
from tests.laws.product import comparable, events_table, merge_rows, python_rows, view_of

AMOUNTS = st.integers(-(10**24), 10**24)
TIMES = st.integers(0, 4 * 10**15)


def sketch(values: list[int]) -> bytes:
    found = hll_sketch(LG_K, tgt_hll_type.HLL_8)
    for value in values:
        found.update(str(value))
    return found.serialize_compact()


def counted_states(kind: str, values: st.SearchStrategy) -> st.SearchStrategy:
    """States as events leave them: a few values, or so many that two of them are more than the bound, or more by itself."""
    few = st.dictionaries(values, st.integers(1, 5), min_size=1, max_size=8)
    many = st.builds(lambda start, size: {number if kind == "spread" else str(number): 1 for number in range(start, start + size)}, st.integers(0, 600), st.integers(400, 1_200))
    return (few | many).map(lambda counts: merge_all(kind, [[[value, count]] for value, count in counts.items()]))


POSITIONED = st.tuples(TIMES, st.integers(0, 3), st.integers(0, 50), st.none() | st.text(max_size=3))
STATES = {
    "count": st.integers(0, 10**9),
    "sum": AMOUNTS,
    "min": AMOUNTS | TIMES,
    "max": AMOUNTS,
    "first": POSITIONED,
    "last": POSITIONED,
    "squares": st.integers(0, 10**60),
    "counts": counted_states("counts", st.integers(0, 1_500).map(str) | st.text(max_size=2)),
    "spread": counted_states("spread", AMOUNTS | st.integers(-3, 3)),
    "times": st.lists(TIMES, min_size=1, max_size=20).map(sorted) | st.integers(1, 1_001).map(lambda size: list(range(0, 2 * size, 2))),
    "days": st.sets(st.integers(-3, 60), min_size=1).map(sorted),
    "distinct": st.sampled_from([0, 1, 3, 7, 9, 40, 383, 500, 3_000]).map(lambda size: sketch(list(range(size)))) | st.lists(st.integers(0, 900), max_size=30).map(sketch),
}


def shown(kind: str, state):
    """A state as it can be compared. Registers and coupons of a sketch are a set: two orders of merging give the same estimate."""
    return (None if state is None else estimate(state)) if kind == "distinct" else state


def test_every_kind_is_tried():
    assert set(STATES) == set(KINDS)


def unique_positions(kind: str, states: list) -> bool:
    """No two events share a log position: a first or last never has to choose between two values there."""
    if kind not in ("first", "last"):
        return True
    positions = [state[:3] for state in states if state is not None]
    return len(set(positions)) == len(positions)


@pytest.mark.parametrize("kind", sorted(KINDS))
@law(share=0.15)
@given(data=st.data())
def test_merge_is_associative_and_commutative_and_none_is_its_zero(kind, data):
    a, b, c = (data.draw(st.none() | STATES[kind]) for _ in range(3))
    together = functools.partial(merge_all, kind)
    if not unique_positions(kind, [a, b, c]):
        return
    assert shown(kind, together([a, together([b, c])])) == shown(kind, together([together([a, b]), c])) == shown(kind, together([a, b, c]))
    assert shown(kind, together([a, b])) == shown(kind, together([b, a]))
    assert together([a, None]) == together([None, a]) == together([a]) == a
    assert together([]) is None


@law(share=0.1)
@given(parts=st.lists(st.lists(st.integers(0, 5_000), max_size=200), min_size=1, max_size=6))
def test_sketches_merged_through_their_bytes_estimate_as_one_sketch_of_all_values(parts):
    assert estimate(merge_sketches([sketch(part) for part in parts])) == estimate(sketch([value for part in parts for value in part]))


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 50, 300, 2_000, 20_000])
def test_an_estimate_is_exact_up_to_300_and_within_five_percent_beyond(size):
    found = estimate(merge_sketches([sketch(list(range(0, size, 2))), sketch(list(range(1, size, 2)))]))
    assert found == size if size <= 300 else abs(found - size) < 0.05 * size


@law(share=0.2)
@given(history=histories(), order=st.randoms(use_true_random=False), pieces=st.integers(1, 5))
def test_folding_any_split_in_any_order_equals_folding_all(history, order, pieces):
    view, log = view_of(history[1]), read_log(history[0], SECRET)
    table = events_table(log.counted, view)
    rows = list(range(len(table)))
    order.shuffle(rows)
    parts = [fold_events(table.take(pa.array(rows[number::pieces], pa.int64())), view.states) for number in range(pieces)]
    merged = merge_rows([python_rows(part, view.states) for part in reversed(parts)], view.states)
    assert comparable(merged, view.states) == comparable(python_rows(fold_events(table, view.states), view.states), view.states)
