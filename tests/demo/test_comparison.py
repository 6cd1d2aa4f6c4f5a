from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from millrace.demo.comparison import compare, is_same
from millrace.demo.oracle import Expected, trait_names

AT = datetime(2017, 1, 9, 4, 15, tzinfo=UTC)
EXPECTED = Expected(
    "1", orders_count=2, revenue_total=Decimal("27.30"), spend_30d=Decimal("25"), spend_90d=Decimal(0), orders_30d=1, largest_basket=Decimal("25"),
    smallest_basket=Decimal("2.30"), first_order_at=AT, last_order_at=AT, last_store="31", stores=2, coupons_used=0, events_24h=0, last_seen_at=AT,
    age="65+", income=None, home_ownership=None, household_size=None,
)  # fmt: skip


def answer(**changed: Any) -> dict[str, Any]:
    values = dict.fromkeys(trait_names()) | {
        "orders_count": 2, "revenue_total": "27.3", "spend_30d": "25", "spend_90d": "0", "largest_basket": "25", "smallest_basket": "2.3", "average_basket": "13.65",
        "first_order_at": "2017-01-09T04:15:00Z", "last_order_at": "2017-01-09T04:15:00Z", "last_seen_at": "2017-01-09T04:15:00Z",
        "stores": 2, "products_90d": 0, "orders_30d": 1, "events_24h": 0, "last_store": "31", "coupons_used": 0, "age": "65+",
    }  # fmt: skip
    return {"id": "p_1", "traits": {name: {"value": value, "layer": "speed"} for name, value in (values | changed).items()}}


def test_equal_answers_have_no_differences() -> None:
    comparison = compare(["1", "2"], [answer(), {"found": False}], {"1": EXPECTED})

    assert comparison.is_equal
    assert (comparison.rows, comparison.values, comparison.layers) == (2, len(trait_names()), {"speed": len(trait_names())})


@pytest.mark.parametrize(
    ("trait", "wrong"),
    [
        ("revenue_total", "27.300000001"),
        ("revenue_total", 27.3),
        ("revenue_total", None),
        ("orders_count", 3),
        ("orders_count", "2"),
        ("stores", 3),
        ("last_order_at", "2017-01-09T04:15:01Z"),
        ("last_order_at", "2017-01-09T04:15:00"),
        ("spend_90d", "25"),
        ("coupons_used", 1),
        ("income", "35-49K"),
        ("spend_90d", None),
        ("age", "35-44"),
    ],
)
def test_wrong_value_is_a_difference_that_names_it(trait: str, wrong: object) -> None:
    comparison = compare(["1"], [answer(**{trait: wrong})], {"1": EXPECTED})

    assert [(difference.household, difference.trait) for difference in comparison.differences] == [("1", trait)]


def test_trait_that_the_answer_lacks_is_a_difference() -> None:
    without = answer()
    del without["traits"]["revenue_total"]

    assert [difference.trait for difference in compare(["1"], [without], {"1": EXPECTED}).differences] == ["revenue_total"]


def test_household_found_although_it_has_no_events_is_a_difference() -> None:
    assert not compare(["2"], [answer()], {}).is_equal


def test_household_not_found_although_it_has_events_is_a_difference() -> None:
    assert not compare(["1"], [{"found": False}], {"1": EXPECTED}).is_equal


def test_comparing_nothing_is_not_equal() -> None:
    assert not compare([], [], {}).is_equal


def test_answers_that_miss_a_household_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        compare(["1", "2"], [answer()], {"1": EXPECTED})


def test_sketched_count_may_err_within_three_standard_errors() -> None:
    assert is_same("stores", 1000, 1040)
    assert not is_same("stores", 1000, 1060)


def test_average_is_compared_in_all_nine_digits() -> None:
    thirds = replace(EXPECTED, orders_count=3, revenue_total=Decimal("27.40"))

    assert is_same("average_basket", thirds.average_basket, "9.133333333")
    assert not is_same("average_basket", thirds.average_basket, "9.133333334")
