from datetime import UTC, datetime
from decimal import Decimal

import duckdb

from millrace.demo.oracle import DAY, HOUR, all_households, expected_profiles, window_bounds

AS_OF = datetime(2017, 2, 8, 12, tzinfo=UTC)


def test_household_with_two_baskets_has_exact_totals(source: duckdb.DuckDBPyConnection) -> None:
    one = expected_profiles(source, weeks=2, as_of=AS_OF)["1"]

    assert (one.orders_count, one.revenue_total, one.average_basket) == (2, Decimal("27.30"), Decimal("13.65"))
    assert (one.largest_basket, one.smallest_basket) == (Decimal("25.00"), Decimal("2.30"))
    assert (one.stores, one.last_store, one.coupons_used, one.age) == (2, "31", 2, "65+")


def test_average_without_an_end_is_rounded_at_the_ninth_digit(source: duckdb.DuckDBPyConnection) -> None:
    one = expected_profiles(source, weeks=3, as_of=AS_OF)["1"]

    assert (one.orders_count, one.revenue_total, one.average_basket) == (3, Decimal("27.40"), Decimal("9.133333333"))


def test_window_counts_the_whole_first_and_last_day(source: duckdb.DuckDBPyConnection) -> None:
    """
    2017-01-01   2017-01-09 04:15            2017-02-08 12:00   23:59:59
        2.30         25.00                        as_of           0.10
                 [2017-01-09 00:00 ……… 30 days ……… 2017-02-09 00:00)
    """
    one = expected_profiles(source, weeks=3, as_of=AS_OF)["1"]

    assert one.spend_30d == Decimal("25.10")
    assert one.spend_90d == Decimal("27.40")


def test_window_at_midnight_does_not_reach_into_the_day_that_begins() -> None:
    midnight = datetime(2017, 2, 8, tzinfo=UTC)

    assert window_bounds(midnight, 30 * DAY, tile=DAY) == (datetime(2017, 1, 9, tzinfo=UTC), midnight)


def test_window_of_hours_counts_the_whole_first_and_last_hour(source: duckdb.DuckDBPyConnection) -> None:
    """
    2017-01-09 00:00   04:15                 2017-01-10 04:20
        coupon         order 102                  as_of
                   [04:00 ……… 24 hours ……… 05:00)
    """
    one = expected_profiles(source, weeks=2, as_of=datetime(2017, 1, 10, 4, 20, tzinfo=UTC))["1"]

    assert one.events_24h == 1


def test_window_on_the_hour_keeps_its_length() -> None:
    at = datetime(2017, 1, 9, 4, tzinfo=UTC)

    assert window_bounds(at, 24 * HOUR, tile=HOUR) == (datetime(2017, 1, 8, 4, tzinfo=UTC), at)


def test_spend_of_an_empty_window_is_zero(source: duckdb.DuckDBPyConnection) -> None:
    two = expected_profiles(source, weeks=3, as_of=AS_OF)["2"]

    assert (two.spend_30d, two.orders_30d, two.spend_90d) == (0, 0, Decimal("2.50"))


def test_last_seen_is_the_latest_event_of_any_kind(source: duckdb.DuckDBPyConnection) -> None:
    known = expected_profiles(source, weeks=2, as_of=AS_OF)

    assert known["1"].last_seen_at == datetime(2017, 1, 9, 4, 15, tzinfo=UTC)
    assert known["9"].last_seen_at == datetime(2017, 1, 1, tzinfo=UTC)


def test_household_with_demographics_only_is_known_without_orders(source: duckdb.DuckDBPyConnection) -> None:
    nine = expected_profiles(source, weeks=1, as_of=AS_OF)["9"]

    assert (nine.age, nine.home_ownership, nine.orders_count, nine.revenue_total, nine.average_basket) == ("25-34", None, 0, 0, None)


def test_household_whose_first_basket_is_still_to_come_is_not_known(source: duckdb.DuckDBPyConnection) -> None:
    assert set(expected_profiles(source, weeks=1, as_of=AS_OF)) == {"1", "9"}
    assert all_households(source) == ["1", "2", "3", "9"]


def test_free_basket_counts_as_an_order_of_zero(source: duckdb.DuckDBPyConnection) -> None:
    three = expected_profiles(source, weeks=3, as_of=AS_OF)["3"]

    assert (three.orders_count, three.revenue_total, three.average_basket) == (1, Decimal("0.00"), Decimal("0"))
