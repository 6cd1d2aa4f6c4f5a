"""A running driver goes over to changed definitions by itself: no restart, no record lost or twice, and the batch layer beside it is told."""

import threading
import time
from collections.abc import Callable

import pytest

from millrace.definitions import Definitions
from millrace.tables.catalogue import EVENTS
from millrace.tables.ledger import read_ledger
from speed.driver import run_driver
from speed.stream import StreamSettings
from tests.tenant import ORDERS, Tenant, order

pytestmark = [pytest.mark.stack, pytest.mark.spark]
LONGEST_S = 240


class Beside:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.adopted: list[Definitions] = []

    def run(self, stop: threading.Event) -> None:
        stop.wait()

    def adopt(self, definitions: Definitions) -> None:
        self.adopted.append(definitions)


def wait_for(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + LONGEST_S
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_changed_definitions_count_from_the_next_epoch_on_without_a_restart(tenant: Tenant) -> None:
    largest = {"largest": {"event": "Order Completed", "op": "max", "value": "properties.revenue"}}
    changed = Definitions.model_validate({"views": {"person": {"key": "node", "traits": ORDERS["person"]["traits"] | largest}}})
    newest, beside = [tenant.definitions], Beside()
    accepted = lambda: read_ledger(tenant.tables).counts()["accepted"]  # noqa: E731
    tenant.send(order("m1"))

    def drive() -> None:
        settings = StreamSettings(trigger=0.1)
        run_driver(tenant.spark, tenant.tables, lambda: newest[0], kafka=tenant.bootstrap, settings=settings, companion=beside)

    driver = threading.Thread(target=drive, daemon=True)
    driver.start()
    try:
        wait_for(lambda: accepted() == 1)
        newest[0] = changed
        tenant.send(order("m2", revenue=20), order("m1"))
        wait_for(lambda: beside.adopted == [changed])
        tenant.send(order("m3", revenue=30))
        wait_for(lambda: accepted() == 3)
    finally:
        for query in tenant.spark.streams.active:
            query.stop()
        driver.join(60)
    ledger = read_ledger(tenant.tables)
    since = min(row["epoch"] for row in ledger.rows.to_pylist() if row["definitions_hash"] == changed.hash)
    assert ledger.counts() == {"accepted": 3, "rejected": 0, "duplicate": 1, "received": 4}
    assert sorted(row["offset"] for row in tenant.tables.read(EVENTS).to_pylist()) == [0, 1, 2, 3]
    rows = [row for row in tenant.tables.read("speed/person").to_pylist() if row["count_order_completed"]]
    assert all((row["max_properties_revenue__order_completed"] is None) == (row["epoch"] < since) for row in rows)
    assert {row["epoch"] >= since for row in rows} == {False, True}
