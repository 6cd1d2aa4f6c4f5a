"""States with a bound: what they say at it and beyond it, in the fold, in Python and in an answer."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.traits.bounded import BOUND, bucket, middle_of
from millrace.traits.fold import fold_events
from serving.store.answers import encode_json
from serving.store.layout import Layout, decode, encode
from serving.store.plan import Plan
from tests.laws.histories import HOUR, SECRET, START
from tests.laws.oracle import Record, read_log
from tests.laws.product import events_table, view_of

VALUE = {"value": "properties.x", "event": "Seen"}
TRAITS: dict[str, dict[str, Any]] = {
    "kinds": {"op": "count_distinct", **VALUE}, "list": {"op": "unique_list", **VALUE}, "usual": {"op": "most_frequent", **VALUE}, "all": {"op": "histogram", **VALUE},
    "top": {"op": "top_k", **VALUE}, "median": {"op": "median", **VALUE}, "p95": {"op": "p95", **VALUE}, "times": {"op": "times"}, "since": {"op": "count", "since": "Order"},
    "after": {"op": "count", "event": "Seen", "since": "Order"},
}  # fmt: skip
VIEW = view_of(TRAITS)


def read(values: list[int], *, epochs: int = 3, order_after: int | None = None) -> dict[str, Any]:
    """Answers of the store after one event a value, a minute apart, and an order after so many of them."""
    texts = [f'{{"type":"track","messageId":"{n}","userId":"u","event":"Seen","properties":{{"x":{value}}}}}' for n, value in enumerate(values)]
    if order_after is not None:
        texts.insert(order_after, '{"type":"track","messageId":"o","userId":"u","event":"Order"}')
    counted = read_log([Record(text.encode(), 0, n, START + n * 60_000_000) for n, text in enumerate(texts)], SECRET).counted
    layout = Layout(VIEW)
    slots = [found for part in range(epochs) for found in layout.fold(fold_events(events_table(counted[part::epochs], VIEW), VIEW.states)).values()]
    return Plan(VIEW, layout).read([decode(encode(slots[0]))], [decode(encode(one)) for one in slots[1:]], START + 100 * HOUR)


@pytest.mark.parametrize("epochs", [1, 4])
def test_at_the_bound_everything_is_exact(epochs):
    found = read([*range(BOUND), 7], epochs=epochs)
    assert (found["kinds"].value, found["usual"].value, found["median"].value, found["p95"].value) == (BOUND, "7", "499", "949")
    assert len(found["list"].value) == len(found["all"].value) == BOUND
    assert found["top"].value[:2] == [{"value": "7", "count": 2}, {"value": "0", "count": 1}]
    assert {answer.note for name, answer in found.items() if name not in ("times", "since", "after")} == {None}


@pytest.mark.parametrize("epochs", [1, 4])
def test_beyond_the_bound_an_answer_says_so_instead_of_being_wrong(epochs):
    found = read(list(range(BOUND + 1)), epochs=epochs)
    for name in ("kinds", "list", "usual", "all", "top"):
        assert (found[name].value, found[name].note) == (None, "more than 1,000 different values: they are not kept")
    assert found["p95"].note == "within 0.4 %: more than 1,000 different numbers"
    assert abs(float(found["p95"].value) - 950) <= 950 * 0.004
    assert json.loads(encode_json(found["kinds"]))["note"].startswith("more than 1,000")
    assert "note" not in json.loads(encode_json(read([1])["kinds"]))


def test_of_more_times_than_are_kept_the_latest_are_shown_and_said_to_be():
    found = read(list(range(BOUND + 5)))
    assert (len(found["times"].value), found["times"].note) == (BOUND, "the latest 1,000: older ones are not kept")


@pytest.mark.parametrize(("events", "order_after", "value", "note"), [(1_400, 390, None, "more than 1,000 events: they are not counted"), (1_400, 400, 1_000, None), (999, None, 999, None)])
def test_counting_since_an_event_is_exact_as_long_as_the_kept_times_reach_back_to_it(events, order_after, value, note):
    answer = read([1] * events, order_after=order_after)["after"]
    assert (answer.value, answer.note) == (value, note)


@given(st.integers(-(10**24), 10**24))
def test_a_bucket_holds_its_numbers_within_four_in_a_thousand(number):
    assert bucket(bucket(number)) == bucket(number)
    assert abs(middle_of(bucket(number)) - number) <= abs(number) / 256
    assert bucket(-number) == -bucket(number)


@given(st.lists(st.integers(-(10**18), 10**18), min_size=1, max_size=40))
def test_numbers_keep_their_order_in_buckets(numbers):
    ordered = sorted(numbers)
    assert [bucket(number) for number in ordered] == sorted(map(bucket, ordered))
    assert sum(Counter(map(bucket, numbers)).values()) == len(numbers)


def test_a_preferred_source_is_taken_before_a_later_word_of_another_and_is_named():
    view = view_of({"city": {"op": "last", "value": "traits.city", "prefer": ["crm", "shop"]}, "said": {"op": "last", "value": "traits.city", "provenance": True}})
    told = [("Rome", "crm"), ("Oslo", "shop"), ("Bonn", None), ("Lima", "shop")]
    layout, message = Layout(view), '{"type":"identify","messageId":"%d","userId":"u","traits":{"city":"%s"}}'
    for first, expected in ((0, ("Rome", "crm")), (1, ("Lima", "shop")), (2, ("Lima", "shop"))):
        records = [Record((message % (n, city)).encode(), 0, n, START + n * HOUR, source) for n, (city, source) in enumerate(told) if n >= first]
        counted = read_log(records, SECRET).counted
        (slots,) = layout.fold(fold_events(events_table(counted, view), view.states)).values()
        answer = Plan(view, layout).read([slots], [], START + 9 * HOUR)
        assert (answer["city"].value, answer["city"].source) == expected
        assert (answer["said"].value, answer["said"].source, answer["said"].at) == ("Lima", "shop", "2026-03-01T03:00:00Z")
        assert answer["city"].layer == "batch"
