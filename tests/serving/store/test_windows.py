"""Windows as of a time: whole tiles, the tail rounded down, the head up."""

from datetime import datetime

import pytest

from serving.store.store import Store
from tests.serving.store.by_hand import HandMade, Order
from tests.serving.store.stores import StartStore

ANN = "user_id:ann"


def ask(store: Store, trait: str, as_of: str) -> tuple[object, str]:
    profile = store.profile(ANN, datetime.fromisoformat(as_of))
    assert profile is not None
    return profile.traits[trait].value, profile.traits[trait].as_of


@pytest.mark.parametrize(
    ("as_of", "spend", "end"),
    [
        ("2025-01-10T00:00:00Z", "3", "2025-01-10T00:00:00Z"),
        ("2025-01-10T15:00:00Z", "7", "2025-01-11T00:00:00Z"),
        ("2025-01-11T00:00:00Z", "6", "2025-01-11T00:00:00Z"),
        ("2025-01-11T00:00:01Z", "14", "2025-01-12T00:00:00Z"),
        ("2025-01-20T00:00:00Z", "0", "2025-01-20T00:00:00Z"),
    ],
)
def test_a_window_in_days_takes_whole_days(tenant: HandMade, start_store: StartStore, as_of: str, spend: str, end: str) -> None:
    """
    day         |    7    |    8    |    9    |   10    |   11    |
    revenue     |      100|1        |        2|      4  |   8     |
    as of                  spend_2d: tiles from floor(as_of - 2 days) to ceil(as_of)
    10th 00:00            [---------+---------)                      1 + 2
    10th 15:00            [---------+---------+---------)            1 + 2 + 4
    11th 00:00                      [---------+---------)                2 + 4
    11th 00:01                      [---------+---------+---------)      2 + 4 + 8
    """
    tenant.write(
        Order(ANN, "2025-01-07T23:59:59.999999Z", revenue="100"),
        Order(ANN, "2025-01-08T00:00:00Z", revenue="1"),
        Order(ANN, "2025-01-09T23:59:59.999999Z", revenue="2"),
    )
    tenant.publish(cut=1)
    tenant.write(Order(ANN, "2025-01-10T18:00:00Z", revenue="4"), Order(ANN, "2025-01-11T09:00:00Z", revenue="8"))
    assert ask(start_store(), "spend_2d", as_of) == (spend, end)


@pytest.mark.parametrize(("as_of", "orders"), [("2025-01-10T12:00:00Z", 2), ("2025-01-10T12:00:00.000001Z", 3), ("2025-01-10T13:30:00Z", 2)])
def test_a_window_in_hours_takes_whole_hours(tenant: HandMade, start_store: StartStore, as_of: str, orders: int) -> None:
    """
    hour                |   9   |  10   |  11   |  12   |  13   |
    orders              |x      |      x|       |x      |       |
    as of 12:00         [-------+-------+-------)                   2
    a microsecond later [-------+-------+-------+-------)           3
    as of 13:30                 [-------+-------+-------+-------)   2
    """
    tenant.write(Order(ANN, "2025-01-10T09:00:00Z"), Order(ANN, "2025-01-10T10:59:59Z"))
    tenant.write(Order(ANN, "2025-01-10T12:00:00Z"))
    assert ask(start_store(), "orders_3h", as_of)[0] == orders


def test_what_has_no_window_does_not_depend_on_the_time(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN, "2025-01-10T09:00:00Z"))
    assert ask(start_store(), "orders", "2001-01-01T00:00:00.5Z") == (1, "2001-01-01T00:00:00.500000Z")


def test_the_receipt_says_the_latest_end_of_a_window(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    profile = start_store().profile(ANN, datetime.fromisoformat("2025-01-10T15:00:00Z"))
    assert profile and profile.receipt.as_of == "2025-01-11T00:00:00Z"


def test_an_order_that_comes_late_goes_to_the_tile_of_its_own_time(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN, "2025-01-10T09:00:00Z", revenue="1"))
    tenant.publish(cut=1)
    tenant.write(Order(ANN, "2025-01-02T09:00:00Z", revenue="2"))
    store = start_store()
    assert ask(store, "spend_2d", "2025-01-10T10:00:00Z")[0] == "1"
    assert ask(store, "spend_2d", "2025-01-03T10:00:00Z")[0] == "2"
