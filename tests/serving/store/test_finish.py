"""Finishing in Python against decimals and datetimes, which share nothing with it."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.traits.algebra import scaled
from millrace.traits.finish import finish, micros, time_text
from millrace.traits.traits import Trait
from millrace.traits.windows import Window
from tests.serving.store.by_hand import PATIENT

MONEY = st.decimals(min_value=-(10**15), max_value=10**15, places=9, allow_nan=False, allow_infinity=False)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(lambda time: time.replace(tzinfo=UTC))


def trait(op: str, value: str | None = "properties.x", **more: Any) -> Trait:
    return Trait(op=op, value=value, **more)


@PATIENT
@given(TIMES)
def test_a_time_is_shown_as_rfc_3339(time: datetime) -> None:
    assert time_text(micros(time)) == time.isoformat().replace("+00:00", "Z")


@PATIENT
@given(MONEY)
def test_a_sum_is_shown_without_trailing_zeros(value: Decimal) -> None:
    shown = finish(trait("sum"), scaled(value), at=0)
    assert isinstance(shown, str) and Decimal(shown) == value
    assert "." not in shown or not shown.endswith(("0", "."))


@PATIENT
@given(st.lists(MONEY, min_size=1, max_size=20))
def test_an_average_is_rounded_half_up_at_the_ninth_decimal(values: list[Decimal]) -> None:
    with localcontext(prec=60):
        expected = (sum(values, Decimal(0)) / len(values)).quantize(Decimal("1e-9"), rounding=ROUND_HALF_UP)
    shown = finish(trait("avg"), sum(map(scaled, values)), len(values), at=0)
    assert isinstance(shown, str) and Decimal(shown) == expected


@PATIENT
@given(time=TIMES, days=st.integers(1, 60), unit=st.sampled_from("hd"))
def test_a_window_is_made_of_the_tiles_between_its_rounded_ends(time: datetime, days: int, unit: str) -> None:
    zero, tile = datetime(1970, 1, 1, tzinfo=UTC), timedelta(hours=1) if unit == "h" else timedelta(days=1)
    window = Window(f"{days}d" if unit == "d" else f"{24 * days}h")
    first, until = window.tiles(micros(time))
    start, end = zero + first * tile, zero + until * tile
    assert start <= time - timedelta(days=days) < start + tile
    assert end - tile < time <= end
    assert window.end(micros(time)) == micros(end)


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (trait("count", None), 0), (trait("sum"), "0"), (trait("approx_distinct"), 0), (trait("avg"), None), (trait("min"), None), (trait("max"), None),
        (trait("first"), None), (trait("last"), None),
    ],
)  # fmt: skip
def test_what_is_counted_or_added_up_is_zero_over_nothing_all_else_is_null(declared: Trait, expected: Any) -> None:
    assert finish(declared, *[None] * len(declared.states), at=0) == expected


@pytest.mark.parametrize(
    ("declared", "state", "expected"),
    [
        (trait("count", None), 3, 3),
        (trait("min"), -1_500_000_000, "-1.5"),
        (trait("max", value_type="string"), "b", "b"),
        (trait("last"), [5, 0, 1, "north"], "north"),
        (trait("last", value_type="number"), [5, 0, 1, 2_000_000_000], "2"),
        (trait("first", "event_time"), [5, 0, 1, 1_500_000], "1970-01-01T00:00:01.500000Z"),
        (trait("max", "event_time"), 0, "1970-01-01T00:00:00Z"),
    ],
)
def test_values_have_the_type_of_the_trait(declared: Trait, state: Any, expected: Any) -> None:
    assert finish(declared, state, at=0) == expected
