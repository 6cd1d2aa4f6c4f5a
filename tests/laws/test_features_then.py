"""Historical features are what was known then: at any instant and any moment of knowledge they equal a direct computation over the raw records, and nothing that comes
later changes them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.features import by_view, chosen_features
from millrace.traits.fold import fold_events
from serving.store.answers import Pinned
from serving.store.features import FeatureReader
from serving.store.layout import Layout, encode
from tests.laws.features import TTLS, History, Row, asked_of, commits, expected, some_decisions, time
from tests.laws.histories import DAY, HOUR, MINUTE, SECRET, START, message
from tests.laws.law import chooser, histories, law
from tests.laws.oracle import Record, persons_of, read_log, rules_of
from tests.laws.product import events_table

ABOUT = (0, -1, 1, MINUTE, -MINUTE, HOUR, -HOUR, DAY, -3 * DAY, 30 * DAY)


@st.composite
def pasts(draw: st.DrawFn) -> tuple[History, list[Row]]:
    """A history, and rows at instants beside those at which its epochs came to exist; every second row is known at another moment."""
    records, traits = draw(histories(most=14))
    choose = chooser(draw(st.binary(min_size=0, max_size=60)))
    committed = commits(records)
    nodes = sorted({node for event in read_log(records, SECRET).accepted for node in event.nodes}) or ["user_id:nobody"]
    times = [*committed, START]
    ttls = {name: list(TTLS)[choose(2)] for name, trait in traits.items() if trait["op"] == "last" and "prefer" not in trait and choose(2)}
    rows = []
    for number in range(1 + choose(6)):
        at = times[choose(len(times))] + ABOUT[choose(len(ABOUT))]
        known_at = at if number % 2 == 0 else times[choose(len(times))] + ABOUT[choose(len(ABOUT))]
        rows.append(((*nodes, "user_id:nobody")[choose(len(nodes) + 1)], at, known_at))
    return History(records, traits, ttls, committed, some_decisions(choose, nodes, times)), rows


@law(share=0.15)
@given(past=pasts(), partitions=st.sampled_from([1, 3]))
def test_features_at_any_instant_equal_a_direct_computation_over_what_was_known(past, partitions):
    history, rows = past
    assert asked_of(history, rows, partitions=partitions) == [expected(history, row) for row in rows]


@law(share=0.04)
@given(past=pasts(), later=st.binary(max_size=60))
def test_later_events_and_decisions_change_no_feature_of_the_past(past, later):
    history, rows = past
    rows = [(node, at, min(at, known_at)) for node, at, known_at in rows]
    before = asked_of(history, rows)
    last, choose = max(at for _, at, _ in rows), chooser(later)
    clock, epoch = max([last, *history.committed]), len(history.committed)
    ends = [sum(record.partition == partition for record in history.records) for partition in (0, 1)]
    injected = [Record(message(choose, clock, ids=20), partition, ends[partition], clock, None, epoch + 1) for partition in (0, 1)]
    nodes = sorted({node for event in read_log([*history.records, *injected], SECRET).accepted for node in event.nodes}) or ["user_id:nobody"]
    decisions = [row | {"decision_id": len(history.decisions) + row["decision_id"], "withdraws": None} for row in some_decisions(choose, nodes, [clock + DAY])]
    more = replace(
        history,
        records=[*history.records, *injected],
        committed=[*history.committed, clock + 1],
        decisions=[*history.decisions, *(row for row in decisions if row["kind"] != "withdraw")],
    )
    assert asked_of(more, rows) == before


@law(share=0.08)
@given(past=pasts(), head=st.integers(0, 3), cut=st.integers(0, 3), wait=st.sampled_from([0, 1, MINUTE, HOUR]))
def test_what_the_store_served_at_a_head_is_what_features_say_of_that_instant(past, head, cut, wait):
    history, _ = past
    history = replace(history, decisions=[])
    if head >= len(history.committed):
        return
    at = min([history.committed[head] + wait, *(later - 1 for later in history.committed[head + 1 : head + 2])])
    in_log = [event for event in read_log(history.records, SECRET).counted if event.record.epoch <= head + 1]
    (view,) = by_view(chosen_features(history.features, history.definitions.views), history.definitions.views)
    layout = Layout(history.definitions.views["person"])
    reader, layers = FeatureReader(view, layout), []
    for part in ([event for event in in_log if event.record.epoch <= cut], [event for event in in_log if event.record.epoch > cut]):
        folded = fold_events(events_table(part, history.definitions.views["person"]), history.definitions.views["person"].states)
        layers.append({node: encode(slots) for node, slots in layout.fold(folded).items()})
    for members in persons_of(in_log, rules_of(SECRET)).values():
        slots = [[layer[node] for node in sorted(members) if node in layer] for layer in layers]
        served = reader.show(reader.read(Pinned("", None, None, None, *slots), at))
        assert asked_of(history, [(node, at, at) for node in sorted(members)]) == [served] * len(members)


def order(number: int, epoch: int, when: int, received_at: int, user: str = "u1") -> Record:
    text = f'{{"type": "track", "event": "Order Completed", "messageId": "m{number}", "userId": "{user}", "timestamp": "{stamp(when)}", "properties": {{"revenue": 10}}}}'
    return Record(text.encode(), 0, number, received_at, "http", epoch)


def stamp(at: int) -> str:
    return time(at).isoformat()


TRAITS = {"orders": {"event": "Order Completed", "op": "count"}, "spend_2d": {"event": "Order Completed", "op": "sum", "value": "properties.revenue", "window": "2d"}}
"""
    instant        START ──── +1h ──── +2h ──── +3h
    epoch 1 exists          x
    epoch 2 exists                              x    with an order of +1h that came late, and one of +3h
"""
LATE = [order(0, 1, START, START), order(1, 2, START + HOUR, START + 3 * HOUR - MINUTE), order(2, 2, START + 3 * HOUR - MINUTE, START + 3 * HOUR - MINUTE)]


@pytest.fixture
def late() -> History:
    return History(LATE, TRAITS, {}, [START + MINUTE, START + 3 * HOUR])


def user() -> str:
    return read_log(LATE, SECRET).accepted[0].nodes[0]


def test_a_late_event_is_absent_until_it_was_known(late):
    at = START + 2 * HOUR
    rows = [(user(), at, at), (user(), at, START + 3 * HOUR - 1), (user(), at, START + 3 * HOUR)]
    assert [row["person__orders"] for row in asked_of(late, rows)] == [1, 1, 2]


def test_what_had_not_happened_by_the_instant_is_absent_however_much_is_known(late):
    assert asked_of(late, [(user(), START + 2 * HOUR, START + 30 * DAY)]) == [{"person__orders": 2, "person__spend_2d": "20"}]


def test_two_rows_at_one_instant_both_survive(late):
    row = (user(), START + 3 * HOUR, START + 3 * HOUR)
    assert asked_of(late, [row, row]) == [{"person__orders": 3, "person__spend_2d": "30"}] * 2


def test_a_decision_counts_from_the_moment_it_was_made(late):
    """
    instant        START ──── +1h ──── +2h ──── +3h ──── +4h
    u1, u2 joined                                           x
    """
    other = order(3, 2, START + 2 * HOUR, START + 2 * HOUR, user="u2")
    both = sorted({user(), read_log([other], SECRET).accepted[0].nodes[0]})
    made = {"decision_id": 1, "decided_at": time(START + 4 * HOUR), "kind": "join", "a": both[0], "b": both[1], "withdraws": None}
    joined = replace(late, records=[*LATE, other], decisions=[made])
    at = START + 4 * HOUR
    rows = [(user(), at - 1, at - 1), (user(), at, at), (user(), at - 1, at), (user(), at, at - 1)]
    assert [row["person__orders"] for row in asked_of(joined, rows)] == [3, 4, 4, 3]


def test_a_last_value_is_null_as_soon_as_it_is_older_than_its_time_to_live(late):
    said = replace(late, traits={"last": {"event": "Order Completed", "op": "last", "value": "properties.revenue", "value_type": "number"}}, ttls={"last": "1h"})
    at = START + HOUR
    assert [row["person__last"] for row in asked_of(said, [(user(), at, at), (user(), at + 1, at + 1)])] == ["10", None]


def test_nobody_has_features_before_he_was_seen(late):
    before = START + MINUTE - 1
    assert asked_of(late, [(user(), before, before), (user(), START + 1, START + MINUTE)]) == [
        {"person__orders": None, "person__spend_2d": None},
        {"person__orders": 1, "person__spend_2d": "10"},
    ]
