import json
from datetime import UTC, datetime

import duckdb
import pytest

from millrace.demo.events import count_events, events_of_week, last_moment
from millrace.demo.source import LAST_WEEK, open_source


def messages(source: duckdb.DuckDBPyConnection, week: int) -> list[dict]:
    return [json.loads(event.message) for event in events_of_week(source, week)]


def test_lines_of_one_basket_become_one_order_with_exact_revenue(source: duckdb.DuckDBPyConnection) -> None:
    order = next(message for message in messages(source, 1) if message.get("event") == "Order Completed")

    assert order == {
        "type": "track",
        "event": "Order Completed",
        "messageId": "order-100",
        "userId": "1",
        "timestamp": "2017-01-01T12:00:00Z",
        "properties": {
            "order_id": "100",
            "store_id": "436",
            "week": 1,
            "revenue": "2.30",
            "discount": "1.00",
            "currency": "USD",
            "products": [
                {"product_id": "7001", "category": "GROCERY", "quantity": 1, "sales_value": "2.10", "discount": "0.40"},
                {"product_id": "7002", "category": "PASTRY", "quantity": 2, "sales_value": "0.20", "discount": "0.60"},
            ],
        },
    }


def test_demographics_become_identify_with_the_known_traits_only(source: duckdb.DuckDBPyConnection) -> None:
    said = {message["userId"]: message["traits"] for message in messages(source, 1) if message["type"] == "identify"}

    assert said["9"] == {"age": "25-34", "income": "15-24K", "household_size": "1", "household_comp": "1 Adult No Kids", "kids_count": "0"}
    assert set(said) == {"1", "9"}


def test_demographics_are_said_in_the_first_week_only(source: duckdb.DuckDBPyConnection) -> None:
    assert not [message for message in messages(source, 2) if message["type"] == "identify"]


def test_redemption_becomes_coupon_applied_at_midnight_of_its_date(source: duckdb.DuckDBPyConnection) -> None:
    coupon = next(message for message in messages(source, 1) if message.get("event") == "Coupon Applied")

    assert coupon == {
        "type": "track",
        "event": "Coupon Applied",
        "messageId": "coupon-1-26-5138-20170101",
        "userId": "1",
        "timestamp": "2017-01-01T00:00:00Z",
        "properties": {"coupon_id": "5138", "campaign_id": "26"},
    }


def test_redemption_before_the_new_week_began_belongs_to_the_week_before(source: duckdb.DuckDBPyConnection) -> None:
    assert [message["messageId"] for message in messages(source, 2)] == ["order-101", "coupon-1-26-5139-20170109", "order-102"]


def test_product_that_the_package_does_not_describe_has_no_category(source: duckdb.DuckDBPyConnection) -> None:
    order = messages(source, 2)[-1]

    assert order["properties"]["products"] == [{"product_id": "9999", "category": None, "quantity": 10133, "sales_value": "25.00", "discount": "0.00"}]


def test_week_that_does_not_exist_has_no_events(source: duckdb.DuckDBPyConnection) -> None:
    assert events_of_week(source, 54) == []


def test_reading_a_week_again_gives_the_same_messages(source: duckdb.DuckDBPyConnection) -> None:
    assert events_of_week(source, 1) == events_of_week(source, 1)


@pytest.mark.parametrize("weeks", [0, 1, 2, 3, 53])
def test_count_of_the_first_weeks_is_what_they_hold(source: duckdb.DuckDBPyConnection, weeks: int) -> None:
    assert count_events(source, weeks=weeks) == sum(len(events_of_week(source, week)) for week in range(1, weeks + 1))


def test_last_moment_is_that_of_the_last_basket(source: duckdb.DuckDBPyConnection) -> None:
    assert last_moment(source, weeks=2) == datetime(2017, 1, 9, 4, 15, tzinfo=UTC)


@pytest.mark.slow
def test_whole_year_is_in_time_order_with_unique_message_ids() -> None:
    source = open_source()
    events = [event for week in range(1, LAST_WEEK + 1) for event in events_of_week(source, week)]

    assert [event.event_time for event in events] == sorted(event.event_time for event in events)
    assert len({json.loads(event.message)["messageId"] for event in events}) == len(events) == 155848 + 2102 + 801 == count_events(source, weeks=53)
