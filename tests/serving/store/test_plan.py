"""Reading merged slots against a brute-force oracle: all orders in one pass, in plain Python."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import reduce
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from millrace.tables.catalogue import view_schema
from millrace.traits.algebra import merge_all
from millrace.traits.finish import micros
from millrace.traits.sketches import estimate, estimate_union, merge_sketches
from serving.store.coverage import counts_everything
from serving.store.layout import BLOCK, Layout, decode, encode, unions_from_the_end
from serving.store.plan import Plan
from tests.serving.store.by_hand import DEFINITIONS, PATIENT, TRAITS, Order, Placed, definitions_of, rows_of, sketch_of

VIEW = DEFINITIONS.views["person"]
NOW = datetime(2025, 1, 10, 12, 30, tzinfo=UTC)
ORDERS = st.builds(
    Order,
    node=st.sampled_from(["user_id:a", "phone:b"]),
    at=st.integers(-4 * 86_400, 86_400).map(lambda second: (NOW + timedelta(seconds=second)).isoformat()),
    revenue=st.decimals(-(10**15), 10**15, places=9).map(str),
    store=st.sampled_from(["", "é", "north", "south", "\U0001f600"]),
)


def oracle(placed: list[Placed], name: str, at: datetime) -> Any:
    """The value of a trait, straight from the orders."""
    declared = TRAITS[name]
    chosen = placed
    if window := declared.get("window"):
        unit, length = (timedelta(days=1), int(window[:-1])) if window.endswith("d") else (timedelta(hours=1), int(window[:-1]))
        start, end = floor(at - length * unit, unit), floor(at, unit) if floor(at, unit) == at else floor(at, unit) + unit
        chosen = [one for one in placed if start <= one.order.time < end]
    revenue = [Decimal(one.order.revenue) for one in chosen]
    by_time = sorted(chosen, key=lambda one: (one.order.time, one.offset))
    with localcontext(prec=60):
        answers: dict[str, Callable[[], Any]] = {
            "count": lambda: len(chosen),
            "sum": lambda: text(sum(revenue, Decimal(0))),
            "avg": lambda: text((sum(revenue, Decimal(0)) / len(revenue)).quantize(Decimal("1e-9"), ROUND_HALF_UP)),
            "min": lambda: text(min(revenue)),
            "last": lambda: by_time[-1].order.store,
            "first": lambda: by_time[0].order.time.isoformat().replace("+00:00", "Z"),
            "approx_distinct": lambda: estimate(sketch_of(one.order.store for one in chosen)),
        }
        if not chosen and declared["op"] not in ("count", "sum", "approx_distinct"):
            return None
        return answers[declared["op"]]()


def floor(at: datetime, unit: timedelta) -> datetime:
    return at - (at - datetime(1970, 1, 1, tzinfo=UTC)) % unit


def text(value: Decimal) -> str:
    shown = f"{value:f}"
    return (shown.rstrip("0").rstrip(".") if "." in shown else shown) if value else "0"


def slots_of(layout: Layout, placed: list[Placed]) -> list[bytes]:
    """Encoded slots of each node."""
    table = pa.Table.from_pylist(rows_of(placed, DEFINITIONS), schema=view_schema(VIEW))
    return [encode(layout.with_unions(slots)) for slots in layout.fold(table).values()]


@PATIENT
@given(orders=st.lists(ORDERS, max_size=30), cut=st.integers(0, 30), minutes=st.integers(-6_000, 3_000), split=st.randoms())
def test_any_split_into_batch_and_epochs_reads_as_one_pass_over_all_orders(orders: list[Order], cut: int, minutes: int, split: random.Random) -> None:
    layout = Layout(VIEW)
    placed = [Placed(order, 1, offset) for offset, order in enumerate(orders)]
    batch, speed = placed[:cut], placed[cut:]
    epochs: list[list[Placed]] = [[] for _ in range(3)]
    for one in speed:
        split.choice(epochs).append(one)
    increments = [decode(slots) for epoch in epochs for node in ("user_id:a", "phone:b") for slots in slots_of_node(layout, epoch, node)]
    at = NOW + timedelta(minutes=minutes)
    read = Plan(VIEW, layout).read([decode(slots) for slots in slots_of(layout, batch)], increments, micros(at))
    assert {name: trait.value for name, trait in read.items()} == {name: oracle(placed, name, at) for name in TRAITS}


def slots_of_node(layout: Layout, placed: list[Placed], node: str) -> list[bytes]:
    """What the store holds after an increment for a node that had one before: their merge, encoded again."""
    parts = [layout.fold(pa.Table.from_pylist(rows_of([one], DEFINITIONS), schema=view_schema(VIEW)))[node] for one in placed if one.order.node == node]
    return [encode(reduce(layout.merge, parts))] if parts else []


@PATIENT
@given(st.lists(st.lists(st.one_of(st.none(), st.integers(-(2**127), 2**127)), min_size=len(Layout(VIEW).slots), max_size=len(Layout(VIEW).slots)), max_size=3))
def test_slots_survive_their_bytes_whatever_the_size_of_a_number(slots: list[list[int | None]]) -> None:
    assert decode(encode(list(slots))) == slots


@PATIENT
@given(st.lists(st.sets(st.integers(0, 3_000), max_size=300), min_size=1, max_size=3 * BLOCK))
@example([set(range(n * 16, n * 16 + 16)) for n in range(24)])
@example([set(range(n * 16, n * 16 + 16)) for n in range(25)])
def test_unions_kept_for_reading_estimate_like_the_sketches_themselves(sets: list[set[int]]) -> None:
    sketches = [sketch_of(map(str, values)) for values in sets]
    unions = unions_from_the_end(sketches)
    assert [estimate(union) for union in unions] == [estimate(merge_sketches(sketches[start:])) for start in range(0, len(sketches), BLOCK)]
    assert estimate_union(sketches[:BLOCK] + unions[1:2]) == estimate(sketch_of({str(value) for values in sets for value in values}))


@PATIENT
@given(days=st.sets(st.integers(0, 40), min_size=1, max_size=30), window=st.integers(1, 30), ahead=st.integers(0, 10))
def test_a_window_over_many_days_of_sketches_counts_the_values_of_its_own_days(days: set[int], window: int, ahead: int) -> None:
    view = definitions_of({"stores": {"op": "approx_distinct", "value": "properties.store", "window": f"{window}d"}}).views["person"]
    layout, last = Layout(view), NOW + timedelta(days=ahead)
    starts = [NOW - timedelta(days=day) for day in days]
    rows = [{"key": "a", "hop": 86_400, "hop_start": floor(start, timedelta(days=1)), layout.slots[0][0].name: sketch_of([str(start)])} for start in starts]
    slots = decode(encode(layout.with_unions(layout.fold(pa.Table.from_pylist(rows, schema=view_schema(view)))["a"])))
    read = Plan(view, layout).read([slots], [], micros(last))
    assert read["stores"].value == sum(floor(last - timedelta(days=window), timedelta(days=1)) <= start for start in starts)


def test_increments_of_one_tile_become_one_state() -> None:
    layout = Layout(VIEW)
    one, other = (layout.fold(pa.Table.from_pylist(rows_of([Placed(Order("a"), 1, n)], DEFINITIONS), schema=view_schema(VIEW)))["a"] for n in (1, 2))
    merged = layout.merge(one, other)
    assert {len(slot[0]) for slot, (_, hop) in zip(merged, layout.slots, strict=True) if hop} == {1}


@PATIENT
@given(st.data())
def test_the_folds_of_the_layout_are_those_of_the_algebra(data: st.DataObject) -> None:
    layout = Layout(VIEW)
    for (state, _), fold in zip(layout.slots, layout.folds, strict=True):
        if state.kind in ("count", "sum", "min", "max"):
            numbers = data.draw(st.lists(st.integers(-(10**30), 10**30), min_size=1, max_size=5))
            assert fold(numbers) == merge_all(state.kind, numbers)


def test_a_count_with_a_filter_does_not_count_every_event() -> None:
    filtered = {"some": {"op": "count", "where": {"properties.store": "north"}}}
    assert counts_everything(Layout(definitions_of(filtered).views["person"])) is None
    every = definitions_of(filtered | {"all": {"op": "count"}}).views["person"]
    assert counts_everything(Layout(every)) == ("count", 0)


@pytest.mark.parametrize("names", [["spend_2d", "orders", "orders_3h", "spend"], ["stores_2d"], ["smallest", "basket"], ["basket_2d", "spend_2d", "first_at"]])
def test_traits_come_in_the_order_of_their_declaration(names: list[str]) -> None:
    view = definitions_of({name: TRAITS[name] for name in names}).views["person"]
    answers = Plan(view, Layout(view)).read([], [], micros(NOW))
    assert list(answers) == names
    every = Plan(VIEW, Layout(VIEW)).read([], [], micros(NOW))
    assert [answers[name] for name in names] == [every[name] for name in names]
