"""Derived traits: typed expressions over traits, without circles, the same in store, driver and table."""

import pyarrow as pa
import pytest
from pydantic import ValidationError

from batch.finishing import finish_persons
from batch.merging import merge_rows
from batch.windows import windows_of
from millrace.tables.catalogue import profiles_table
from millrace.traits.fold import fold_events
from millrace.traits.views import View
from serving.store.layout import Layout, decode, encode
from serving.store.plan import Plan
from tests.laws.histories import HOUR, SECRET, START
from tests.laws.oracle import Record, read_log
from tests.laws.product import events_table

TRAITS = {
    "orders": {"event": "Order Completed", "op": "count"},
    "spend": {"event": "Order Completed", "op": "sum", "value": "properties.x"},
    "last_at": {"event": "Order Completed", "op": "last", "value": "event_time"},
    "stores": {"op": "unique_list", "value": "properties.s"},
    "doubled": {"expr": "basket * 2"},
    "basket": {"expr": "spend / orders"},
    "is_loyal": {"expr": "orders >= 3 and spend > 10"},
    "again_at": {"expr": "last_at + 3d"},
    "days_quiet": {"expr": "days(now - last_at)"},
    "one": {"expr": "1"},
}


def view(traits: dict) -> View:
    return View.model_validate({"key": "node", "traits": traits})


def records(*amounts: str) -> list[Record]:
    text = '{"type":"track","messageId":"%d","userId":"u","event":"Order Completed","properties":{"x":%s,"s":"s%d"}}'
    return [Record((text % (number, amount, number)).encode(), 0, number, START + number * HOUR, None, 1 + number) for number, amount in enumerate(amounts)]


def test_every_reader_gives_derived_traits_from_the_merged_ones():
    declared, counted = view(TRAITS), read_log(records("10", "2.5", "0.000000001"), SECRET).counted
    layout = Layout(declared)
    slots = [list(layout.fold(fold_events(events_table(part, declared), declared.states)).values()) for part in (counted[:2], counted[2:])]
    read = Plan(declared, layout).read(*([decode(encode(one)) for one in part] for part in slots), START + 50 * HOUR)
    shown = {name: (answer.value, answer.layer) for name, answer in read.items() if name in declared.derived}
    assert shown == {
        "basket": ("4.166666667", "merged"), "doubled": ("8.333333334", "merged"), "is_loyal": (True, "merged"), "again_at": ("2026-03-04T02:00:00Z", "merged"),
        "days_quiet": (2, "merged"), "one": (1, None),
    }  # fmt: skip
    rows = fold_events(events_table(counted, declared), declared.states)
    (states,) = windows_of(declared).values()
    merged = merge_rows(rows, keys=["key"], kinds={state.name: state.kind for state in states.values()})
    at = pa.scalar(START + 50 * HOUR, pa.timestamp("us", tz="UTC")).as_py()
    windows = pa.table({"key": merged["key"], **{name: merged[state.name] for name, state in states.items()}})
    table = finish_persons(windows, declared, keep=["key"], as_of=at)
    schema = profiles_table(declared).schema
    assert [str(table.schema.field(name).type) for name in declared.derived] == [str(schema.field(name).type) for name in declared.derived]
    (row,) = table.select(["basket", "doubled", "is_loyal", "days_quiet", "one"]).to_pylist()
    assert [str(value) for value in row.values()] == ["4.166666667", "8.333333334", "True", "2", "1"]


def test_of_a_person_without_events_a_ratio_is_unknown():
    declared = view(TRAITS)
    read = Plan(declared, Layout(declared)).read([], [], START)
    assert {name: read[name].value for name in ("basket", "is_loyal", "again_at", "one")} == {"basket": None, "is_loyal": False, "again_at": None, "one": 1}


@pytest.mark.parametrize(
    ("expr", "sentence"),
    [
        ("spend / ordrs", "it.expr at 9: unknown name 'ordrs' .did you mean 'orders'"),
        ("spend /", "it.expr at "),
        ("spend > 'a'", "needs two of one type"),
        ("percentile(spend) > 0.9", "percentile compares with all persons"),
        ("it + 1", "it names it: derived traits cannot stand on each other in a circle"),
        ("other + 1", "it names other names it: derived"),
    ],
)
def test_a_wrong_expression_is_refused_with_its_place(expr, sentence):
    with pytest.raises(ValidationError, match=sentence):
        view(TRAITS | {"it": {"expr": expr}} | ({"other": {"expr": "it + 1"}} if expr.startswith("other") else {}))


def test_what_a_derived_trait_does_not_take_is_told_and_all_problems_come_at_once():
    with pytest.raises(ValidationError, match="expr is computed from other traits and takes no op"):
        view(TRAITS | {"it": {"expr": "spend", "op": "count"}})
    with pytest.raises(ValidationError, match=r"unknown name 'a'.*unknown name 'b'"):
        view(TRAITS | {"it": {"expr": "a + 1"}, "too": {"expr": "b + 1"}})


def test_derived_traits_survive_their_json():
    declared = view(TRAITS)
    assert View.model_validate_json(declared.model_dump_json(exclude_defaults=True)) == declared
