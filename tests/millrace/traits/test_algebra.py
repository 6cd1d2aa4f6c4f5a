"""The algebra in Python: decimals as integers, averages rounded as SQL rounds, text without trailing zeros. Its laws are in tests/laws."""

from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.traits.algebra import KINDS, average, merge_all, plain, scaled
from millrace.traits.finish import micros, time_text, value_of_nothing
from millrace.traits.traits import Trait
from millrace.traits.windows import Window
from tests.laws.oracle import decimal_text
from tests.laws.oracle_values import time_text as oracle_time_text

AMOUNTS = st.integers(-(10**37), 10**37)


@given(AMOUNTS)
def test_a_scaled_integer_is_the_decimal_it_came_from(amount):
    with localcontext(prec=60):
        assert scaled(Decimal(amount).scaleb(-9)) == amount
        assert Decimal(plain(amount)) == Decimal(amount).scaleb(-9)
    assert plain(amount) == decimal_text(amount)


@pytest.mark.parametrize(("amount", "text"), [(0, "0"), (-1, "-0.000000001"), (10**9, "1"), (12_500_000_000, "12.5"), (-(10**24), "-1000000000000000")])
def test_decimals_are_shown_without_trailing_zeros(amount, text):
    assert plain(amount) == text


@given(AMOUNTS, st.integers(1, 10**9))
def test_an_average_is_rounded_half_away_from_zero(total, count):
    with localcontext(prec=100):
        assert average(total, count) == int((Decimal(total) / count).quantize(Decimal(1), ROUND_HALF_UP))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_merge_of_nothing_is_the_zero(kind):
    assert merge_all(kind, []) is merge_all(kind, [None, None]) is None


@pytest.mark.parametrize(("op", "shown"), [("count", 0), ("sum", "0"), ("approx_distinct", 0), ("avg", None), ("min", None), ("max", None), ("first", None), ("last", None)])
def test_what_a_trait_shows_when_nothing_was_seen(op, shown):
    assert value_of_nothing(Trait(op=op, value=None if op == "count" else "properties.x")) == shown


@given(st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999))
def test_times_are_shown_as_rfc_3339(at):
    assert time_text(at) == oracle_time_text(at)


@given(st.integers(0, 4 * 10**15), st.integers(1, 731), st.sampled_from("hd"))
def test_the_tiles_of_a_window_end_where_the_answer_says(at, length, unit):
    window, hop = Window(f"{length}{unit}"), {"h": 3_600, "d": 86_400}[unit]
    first, until = window.tiles(at)
    assert until * hop * 1_000_000 == window.end(at) >= at
    assert first * hop * 1_000_000 <= at - length * hop * 1_000_000 < (first + 1) * hop * 1_000_000


def test_a_time_without_a_zone_is_utc():
    from datetime import UTC, datetime, timedelta, timezone

    assert micros(datetime(2026, 3, 1)) == micros(datetime(2026, 3, 1, tzinfo=UTC)) == micros(datetime(2026, 3, 1, 2, tzinfo=timezone(timedelta(hours=2))))
