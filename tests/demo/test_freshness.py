from datetime import UTC, datetime

from millrace.demo.events import Event
from millrace.demo.freshness import Freshness, portions, shows

AT = datetime(2017, 1, 9, 4, 15, tzinfo=UTC)


def order(household: str = "1") -> Event:
    return Event(household, AT, "{}", is_order=True)


COUPON = Event("1", AT, "{}")


def test_portions_end_with_an_order_and_lose_nothing() -> None:
    events = [order(), COUPON, order(), COUPON, COUPON]

    assert [list(portion) for portion in portions(events, 3)] == [[order(), COUPON, order()], [COUPON, COUPON]]


def test_portions_of_nothing_are_none() -> None:
    assert list(portions([], 3)) == []


def test_answer_shows_an_order_when_its_last_order_is_not_older() -> None:
    assert shows({"traits": {"last_order_at": {"value": "2017-01-09T04:15:00Z"}}}, order())
    assert not shows({"traits": {"last_order_at": {"value": "2017-01-09T04:14:59Z"}}}, order())


def test_answer_without_orders_or_none_at_all_shows_nothing() -> None:
    assert not shows({"traits": {"last_order_at": {"value": None}}}, order())
    assert not shows(None, order())


def test_freshness_without_probes_has_no_figures() -> None:
    assert Freshness(()).as_dict() == {"probes": 0}


def test_freshness_tells_median_and_extremes() -> None:
    assert (Freshness((3.0,)) + Freshness((1.0, 2.0))).as_dict() == {"probes": 3, "min_s": 1.0, "median_s": 2.0, "max_s": 3.0}
