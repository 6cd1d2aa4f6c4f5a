"""Traits as declared: what is refused with a sentence, and the states they stand on."""

from itertools import product
from typing import get_args

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from millrace.tables.catalogue import profiles_table, state_type
from millrace.traits.checks import NEEDS
from millrace.traits.finish import finish
from millrace.traits.finished_columns import finished_column
from millrace.traits.fold import fold_events
from millrace.traits.traits import LOCAL_DAY, Op, Trait
from millrace.traits.views import PROFILE_COLUMNS, View
from tests.laws.histories import SECRET, START
from tests.laws.oracle import Record, read_log
from tests.laws.product import events_table, python_rows

OPS = list(get_args(Op))
VALUES = [None, "event_time", "received_at", "name", "type", "source", "properties.x", "properties.cart.total", "traits.age", "context.page.url"]
LOG = read_log(
    [
        Record(b'{"type":"track","messageId":"1","userId":"u","event":"Order Completed","properties":{"x":"7"},"context":{"page":{"url":"/"}}}', 0, 0, START),
        Record(b'{"type":"identify","messageId":"2","userId":"u","traits":{"age":"old"}}', 0, 1, START + 1, "shop"),
        Record(b'{"type":"page","messageId":"3","userId":"v","properties":{"x":[1],"cart":{"total":3.5}}}', 0, 2, START + 2),
    ],
    SECRET,
)


def view(**traits: dict) -> View:
    return View.model_validate({"key": "node", "traits": traits})


@pytest.mark.parametrize("op", OPS)
def test_whatever_the_definitions_accept_can_be_folded_and_finished(op):
    """A definition that kills the stream at its first event would be worse than one refused."""
    tried = 0
    for value, value_type, window in product(VALUES, [None, "number", "string", "time"], [None, "24h", "30d", "this_week"]):
        try:
            declared = view(it={"op": op, "value": value, "value_type": value_type, "window": window})
        except ValidationError:
            continue
        tried += 1
        rows = python_rows(fold_events(events_table(LOG.counted, declared), declared.states), declared.states)
        trait = declared.traits["it"]
        found = [finish(trait, *(values[state.name] for state in trait.states), at=START) for values in rows.values()]
        assert all(isinstance(value, int | str | list | None) for value in found)
        columns = [pa.array([None] * 2, state_type(state)) for state in trait.states]
        assert finished_column(trait, columns, START).type == profiles_table(declared).schema.field("it").type
    assert tried >= 3


@pytest.mark.parametrize(
    ("trait", "sentence"),
    [
        ({"op": "sum"}, "op sum needs a value"),
        ({"op": "count", "value": "properties.x"}, "op count counts events and takes no value"),
        ({"op": "sum", "value": "revenue"}, "value 'revenue' is not a path"),
        ({"op": "sum", "value": "properties"}, "value 'properties' is not a path"),
        ({"op": "sum", "value": "properties.a b"}, "is not a path"),
        ({"op": "sum", "value": "name"}, "op sum works on numbers, not on name"),
        ({"op": "avg", "value": "event_time"}, "op avg works on numbers, not on event_time"),
        ({"op": "sum", "value": "properties.x", "value_type": "string"}, "op sum works on numbers, not on value_type string"),
        ({"op": "max", "value": "source", "value_type": "number"}, "value source is of value_type string, not number"),
        ({"op": "last", "value": "event_time", "value_type": "string"}, "value event_time is of value_type time, not string"),
        ({"op": "last", "value": "properties.x", "value_type": "time"}, "value_type time is for event_time and received_at"),
        ({"op": "approx_distinct", "value": "received_at"}, "op approx_distinct works on text, not on received_at"),
        ({"op": "count", "value_type": "string"}, "op count reads no value; drop value_type"),
        ({"op": "count", "window": "30m"}, "window '30m' is not a length"),
        ({"op": "count", "window": "0d"}, "window '0d' is not a length"),
        ({"op": "count", "window": "732d"}, "is too long"),
        ({"op": "count", "window": "this_mont"}, "did you mean 'this_month'"),
        ({"op": "count", "window": "30d", "ago": "30m"}, "ago '30m' is not a length"),
        ({"op": "count", "window": "30d", "ago": "5h"}, "a window of days moves by days"),
        ({"op": "count", "ago": "5h"}, "ago moves a window of hours or days back"),
        ({"op": "count", "window": "today", "ago": "5d"}, "ago moves a window of hours or days back"),
        ({"op": "count", "window": "24h", "ago": "900d"}, "is too long"),
        ({"op": "exists", "value": "properties.x"}, "op exists asks whether there is an event"),
        ({"op": "streak", "value": "event_time"}, "op streak looks at the days of events"),
        ({"op": "median", "value": "properties.x", "value_type": "string"}, "op median works on numbers"),
        ({"op": "unique_list", "value": "event_time"}, "op unique_list works on text and numbers"),
        ({"op": "sum", "value": "properties.x", "since": "A"}, "since counts what came after"),
        ({"op": "count", "window": "3d", "since": "A"}, "since and window '3d' cannot both"),
        ({"op": "count", "k": 3}, "k is how many values top_k shows"),
        ({"op": "max", "value": "properties.x", "prefer": ["crm"]}, "prefer and provenance are for op first and last"),
        ({"op": "last", "value": "properties.x", "prefer": ["crm", "crm"]}, "names a source twice"),
        ({"op": "count", "time_zone": "Europe/Berln"}, "did you mean 'Europe/Berlin'"),
        ({"op": "count", "where": {}}, "where is a mapping of paths"),
        ({"op": "count", "where": ["x"]}, "where is a mapping of paths"),
        ({"op": "count", "where": "x > 3"}, "where at 1: unknown name 'x'"),
        ({"op": "count", "where": "properties.x > 'a' and properties.x > 3"}, "two of one type"),
        ({"op": "count", "where": "now - properties.x > 3d"}, "where "),
        ({"op": "count", "where": "properties.x + 1"}, "where "),
        ({"op": "count", "where": {"revenue": 3}}, "where 'revenue' is not a path"),
        ({"op": "count", "where": {"event_time": 3}}, "where 'event_time' is not a path"),
        ({"op": "count", "where": {"properties.x": {"gtt": 3}}}, "unknown condition 'gtt' .did you mean 'gt'"),
        ({"op": "count", "where": {"properties.x": {}}}, "found no condition"),
        ({"op": "count", "where": {"properties.x": {"gt": "3"}}}, "gt compares numbers"),
        ({"op": "count", "where": {"properties.x": {"exists": "yes"}}}, "it is true or false"),
        ({"op": "count", "where": {"properties.x": {"in": 3}}}, "a list of texts or of numbers is needed"),
        ({"op": "count", "where": {"properties.x": ["a", 3]}}, "texts and numbers in one list"),
        ({"op": "count", "where": {"properties.x": {"prefix": 3}}}, "the beginning of a text is needed"),
        ({"op": "count", "where": {"properties.x": 1e15}}, "at most 15 digits before the point"),
        ({"op": "count", "where": {"properties.x": 0.0000000001}}, "nine behind it"),
        ({"op": "count", "where": {"properties.x": None}}, "a word such as null needs quotes"),
        ({"op": "count", "event": " "}, "event must not be empty"),
        ({"op": "count", "event": []}, "event is a name or a list of names"),
        ({"op": "count", "event": 5}, "event is a name or a list of names"),
        ({"op": "count", "event": ["A", 5]}, "event is a name or a list of names"),
    ],
)
def test_a_wrong_trait_is_refused_with_what_to_do(trait, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Trait.model_validate(trait)


def test_a_trait_may_not_take_the_name_of_a_column_every_profile_has():
    with pytest.raises(ValidationError, match=r"trait names .'cut'. are columns that every profile has"):
        view(orders={"op": "count"}, cut={"op": "count"})
    columns = profiles_table(view(orders={"op": "count"})).schema.names
    assert {name for name in columns if name != "orders"} <= set(PROFILE_COLUMNS)


def test_traits_that_differ_in_their_window_share_a_state():
    declared = view(month={"op": "count", "window": "30d"}, week={"op": "count", "window": "7d"}, day={"op": "count", "window": "24h"}, ever={"op": "count"})
    assert [(state.name, hops) for state, hops in declared.states.items()] == [("count", {0, 3_600, 86_400})]


def test_an_average_stands_on_a_sum_and_a_count_of_usable_values():
    assert [state.kind for state in Trait(op="avg", value="properties.x").states] == ["sum", "count"]


@pytest.mark.parametrize(
    "others", [[{"window": "30d"}, {"window": "24h", "ago": "30d"}, {"window": "this_month"}], [{"op": "top_k", "k": 3}, {"op": "unique_list", "window": "3d"}, {"op": "count_distinct"}]]
)
def test_traits_that_differ_in_nothing_that_is_kept_share_their_state(others):
    plain = {"op": "histogram", "value": "properties.x", "where": {"properties.y": 3, "source": ["b", "a"]}}
    declared = view(one=plain, **{f"it{number}": plain | other | {"where": {"source": {"in": ["a", "b"]}, "properties.y": {"eq": 3.0}}} for number, other in enumerate(others)})
    assert len(declared.states) == 1


def test_a_filter_that_is_an_expression_reads_its_paths_as_what_they_are_used_as():
    trait = Trait.model_validate({"op": "count", "where": "properties.gift and properties.x > 3 and traits.y = 'a'"})
    assert trait.states[0].reads == (("properties.gift", "string"), ("properties.x", "number"), ("traits.y", "string"))
    assert Trait.model_validate_json(trait.model_dump_json(exclude_defaults=True)) == trait


def test_a_filter_and_a_zone_survive_their_json_and_make_states_of_their_own():
    declared = View.model_validate(
        {"key": "node", "time_zone": "Europe/Berlin", "traits": {"a": {"op": "count", "window": "today", "where": {"properties.x": {"gt": 0.5}}}, "b": {"op": "count", "window": "24h"}}}
    )
    again = View.model_validate_json(declared.model_dump_json(exclude_defaults=True))
    assert again == declared and again.states == declared.states
    assert sorted(name.name[:11] for name in declared.states) == ["count", "count_where"]
    assert declared.hops == (LOCAL_DAY, 3_600)
    with pytest.raises(ValidationError, match="a view has one time zone"):
        view(a={"op": "count", "window": "today", "time_zone": "Europe/Berlin"})


WORDS = ["Where 0123456789", "Zone Utc", "Order Completed", "order_completed", "Order completed", "Track", "track", "Page", "Text", "As Number", "Properties X", "A B", "A", "B", "C", "B C", "A B C", "✓", "✗", "Name"]
PATHS = ["properties.x", "properties.X", "properties.a", "properties.a_b", "properties.a.b", "properties.a-b", "traits.a_b", "name", "context.a_b_c", "context.a.b.c"]


@settings(max_examples=3_000, deadline=None)
@given(data=st.data())
def test_no_two_states_share_a_name(data):
    """They would share a column of a table. Event names of two spellings are common while a site moves from one to the other."""
    states = []
    for _ in range(2):
        events = data.draw(st.lists(st.sampled_from(WORDS), max_size=2))
        kind = data.draw(st.sampled_from(OPS))
        value = None if kind in NEEDS else data.draw(st.sampled_from(PATHS))
        value_type = data.draw(st.sampled_from([None, "string", "number"]))
        try:
            where = data.draw(st.sampled_from([(), {"properties.x": 1}, {"properties.x": "1"}, {"properties.x": {"gt": 1}}, {"source": "1"}]))
            zone, window = data.draw(st.sampled_from(["UTC", "Etc/GMT+1", "Etc/GMT-1"])), data.draw(st.sampled_from([None, "today"]))
            typed = data.draw(st.sampled_from([None, "track", "page"]))
            states += Trait(op=kind, event=tuple(events), value=value, value_type=value_type, type=typed, where=where, time_zone=zone, window=window).states
        except ValidationError:
            return
    assert len({state.name for state in states}) == len(set(states))


def test_names_of_usual_states_are_plain():
    trait = Trait(op="sum", value="properties.revenue", event=("Order Completed",))
    assert [state.name for state in trait.states] == ["sum_properties_revenue__order_completed"]
    assert [state.name for state in Trait(op="count", event=("Order Completed",)).states] == ["count_order_completed"]


def test_a_very_long_name_is_cut_and_stays_its_own():
    names = {Trait(op="count", event=tuple(f"Event Number {number} Of Many" for number in range(last))).states[0].name for last in (30, 31)}
    assert len(names) == 2
    assert max(map(len, names)) <= 120
