"""Law 3: the event time chooses the tile, the offset chooses the layer. No row is too late: a later epoch adds to the same tile."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.traits.fold import fold_events
from millrace.traits.windows import Window
from tests.laws.histories import DAY, HOUR, SECRET, START
from tests.laws.law import histories, law
from tests.laws.oracle import SECOND, in_window, read_log
from tests.laws.product import comparable, events_table, merge_rows, python_rows, view_of

COUNTS = {"all": {"op": "count"}, "by_hour": {"op": "count", "window": "24h"}, "by_day": {"op": "count", "window": "30d"}}


@law(share=0.2)
@given(history=histories())
def test_every_event_counts_in_the_tile_of_its_event_time_and_nowhere_else(history):
    log, view = read_log(history[0], SECRET), view_of(COUNTS)
    found = python_rows(fold_events(events_table(log.counted, view), view.states), view.states)
    expected: dict[tuple[str, int, int], int] = {}
    for event in log.counted:
        for hop in (0, 3_600, 86_400):
            key = (event.nodes[0], hop, event.event_time // (hop * SECOND) * hop * SECOND if hop else 0)
            expected[key] = expected.get(key, 0) + 1
    assert {key: values["count"] for key, values in found.items()} == expected


@law(share=0.2)
@given(history=histories(), moved=st.integers(0, 15), to=st.integers(1, 9))
def test_the_epoch_in_which_an_event_arrives_does_not_change_the_merged_rows(history, moved, to):
    records, traits = history
    view, log = view_of(traits), read_log(records, SECRET)
    table = events_table(log.counted, view)
    epochs = table["epoch"].to_pylist()
    epochs[moved : moved + 1] = [to] * len(epochs[moved : moved + 1])
    late = table.set_column(table.schema.get_field_index("epoch"), "epoch", pa.array(epochs, pa.int64()))
    parts = [late.filter(pc.field("epoch") == epoch) for epoch in sorted(set(epochs))]
    merged = merge_rows([python_rows(fold_events(part, view.states), view.states) for part in parts], view.states)
    assert comparable(merged, view.states) == comparable(python_rows(fold_events(table, view.states), view.states), view.states)


@law()
@given(
    happened=st.integers(START - 3 * DAY, START + 3 * DAY) | st.integers(-80, 80).map(lambda hours: START + hours * HOUR),
    micros=st.sampled_from([-1, 0, 1]), as_of=st.integers(START - DAY, START + DAY) | st.just(START), length=st.integers(1, 60), unit=st.sampled_from("hd"),
)  # fmt: skip
def test_a_window_covers_the_tiles_from_floor_of_its_start_to_ceil_of_its_end(happened, micros, as_of, length, unit):
    hop = 3_600 if unit == "h" else 86_400
    first, until = Window(f"{length}{unit}").tiles(as_of)
    trait = {"op": "count", "window": f"{length}{unit}"}
    assert (first <= (happened + micros) // (hop * SECOND) < until) == in_window(trait, happened + micros, as_of)


@pytest.mark.parametrize(
    ("as_of", "tiles"),
    [
        (START, (-2, 0)),  # at midnight exactly: two whole days, the one that begins is not in it
        (START + 1, (-2, 1)),  # a microsecond later: today's tile, and the tail stays rounded down
        (START + DAY - 1, (-2, 1)),
        (START + DAY, (-1, 1)),
    ],
)
def test_a_window_of_two_days_on_and_beside_midnight(as_of, tiles):
    today = START // DAY
    assert Window("2d").tiles(as_of) == (today + tiles[0], today + tiles[1])


def test_an_event_of_1970_and_one_of_now_lie_in_tiles_of_one_fold():
    view = view_of(COUNTS)
    rows = [(0, "a"), (HOUR - 1, "a"), (HOUR, "a"), (START, "a")]
    table = pa.table(
        {
            "node": pa.array([node for _, node in rows]), "event_time": pa.array([at for at, _ in rows], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            "partition": pa.array([0] * 4, pa.int32()), "offset": pa.array(range(4), pa.int64()), "type": ["track"] * 4, "name": ["x"] * 4,
        }
    )  # fmt: skip
    found = python_rows(fold_events(table, view.states), view.states)
    by_hour = {start // HOUR: values["count"] for (_, hop, start), values in found.items() if hop == 3_600}
    assert by_hour == {0: 2, 1: 1, START // HOUR: 1}
