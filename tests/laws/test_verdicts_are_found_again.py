"""Laws 5 and 9 for verdicts of the tracking plan: judging the records of an epoch again, by the plan its ledger row names, finds what is in the log."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from millrace.definitions import Definitions
from millrace.errors import ConfigurationError
from millrace.events.standard import Standardizer
from millrace.faults import crash_point
from millrace.tables.catalogue import EVENTS, REJECTED
from millrace.tables.ledger import read_ledger
from millrace.tracking_plan.kept import plan_of
from millrace.tracking_plan.records import PlanRules
from speed import epoch as epochs
from tests.tenant import ORDERS, Tenant, order

pytestmark = [pytest.mark.stack, pytest.mark.spark]
COLUMNS = ["epoch", "partition", "offset", "received_at", "source", "payload"]


def definitions(revenue: str, **modes: str) -> Definitions:
    """Orders whose revenue is of this type."""
    rules = {"properties": {"properties": {"properties": {"revenue": {"type": revenue}}}}}
    sources = {name: {"mode": mode} for name, mode in modes.items()}
    return Definitions.model_validate({"views": ORDERS, "sources": sources, "tracking_plan": [{"event": "Order Completed", "rules": rules}]})


def rows_of(tenant: Tenant, table: Any) -> list[dict[str, Any]]:
    rows = tenant.tables.read(table, where=pc.field("epoch") <= read_ledger(tenant.tables).head).sort_by([("epoch", "ascending"), ("offset", "ascending")])
    return rows.to_pylist()


def verdicts_found_again(tenant: Tenant) -> int:
    """Compares every row of both tables with a new verdict; the number of rows with violations."""
    tables = tenant.tables
    plans = {row["epoch"]: row["plan_hash"] for row in read_ledger(tables).rows.to_pylist()}
    written = [{**row, "reason": None} for row in rows_of(tenant, EVENTS)] + rows_of(tenant, REJECTED)
    for row in written:
        rules = PlanRules.of(plan_of(tables, plans[row["epoch"]])) if plans[row["epoch"]] else None
        payload = row["payload"].encode() if isinstance(row["payload"], str) else row["payload"]
        record = pa.Table.from_pylist([{name: row[name] for name in COLUMNS if name != "payload"} | {"payload": payload}])
        (found,) = Standardizer(tenant.definitions.views["person"].states, b"s", rules=rules).standardize(record).to_pylist()
        assert (found["reason"], found.get("violations")) == (row["reason"], row["violations"]), row
    return sum(row["violations"] is not None for row in written)


def test_every_verdict_is_found_again_by_the_plan_of_its_epoch_whatever_plans_came_after(tenant):
    tenant.send(order("a", revenue="1"))
    tenant.run()  # no plan yet
    tenant.definitions = definitions("number", shop="quarantine", blog="block")
    for source in ("shop", "blog", "test"):
        tenant.send(order("b", revenue=2), order("c", revenue="3"), {"type": "track"}, source=source)
    tenant.run()
    tenant.definitions = definitions("number", blog="quarantine")
    tenant.send(order("d", revenue="4"), source="shop")
    tenant.run()

    hashes = list(dict.fromkeys(row["plan_hash"] for row in read_ledger(tenant.tables).rows.to_pylist()))
    assert hashes == [None, definitions("number", shop="quarantine", blog="block").plan_hash, definitions("number", blog="quarantine").plan_hash]
    assert verdicts_found_again(tenant) == 4
    assert read_ledger(tenant.tables).counts() == {"accepted": 6, "rejected": 5, "duplicate": 0, "received": 11}
    quarantined = [row for row in rows_of(tenant, REJECTED) if row["reason"] == "plan_violation"]
    assert [(row["source"], row["message_id"], row["violations"]) for row in quarantined] == [
        (source, "c", [{"field": "properties.revenue", "rule": "type"}]) for source in ("shop", "blog")
    ]


class Crash(Exception):
    """The process is gone."""


def test_an_epoch_half_written_under_one_plan_and_run_again_under_another_has_every_record_once(tenant, monkeypatch):
    tenant.definitions = definitions("number", shop="quarantine")
    tenant.send(order("a", revenue=1), order("b", revenue="2"), source="shop")

    def crash(name: str) -> None:
        if name == "speed.increments_written":
            raise Crash(name)
        crash_point(name)

    monkeypatch.setattr(epochs, "crash_point", crash)
    with pytest.raises(Exception, match="Crash"):
        tenant.run()
    monkeypatch.undo()
    tenant.definitions = definitions("number")
    tenant.run()

    assert [row["message_id"] for row in rows_of(tenant, EVENTS)] == ["a", "b"]
    assert rows_of(tenant, REJECTED) == []
    assert verdicts_found_again(tenant) == 1
    assert read_ledger(tenant.tables).counts()["accepted"] == 2


def test_a_number_that_turns_into_something_else_is_told_on_the_row_and_not_counted_silently(tenant):
    tenant.send(order("a", revenue=1), order("b", revenue="2"), order("c", revenue="two"), order("d", revenue={"amount": 4}), order("e") | {"properties": {}})
    tenant.send(order("f", revenue="not read of this event") | {"event": "Other"})
    tenant.run()

    told = {row["message_id"]: row["violations"] for row in rows_of(tenant, EVENTS)}
    unusable = [{"field": "properties.revenue", "rule": "not_a_number"}]
    assert told == {"a": None, "b": None, "c": unusable, "d": unusable, "e": None, "f": None}
    assert verdicts_found_again(tenant) == 2


def test_a_version_in_use_is_not_changed_under_the_events_it_has_accepted(tenant):
    tenant.definitions = definitions("number")
    tenant.run()
    tenant.definitions = definitions("string")
    with pytest.raises(ConfigurationError, match=r"version 1 as it is now breaks version 1 as it has been in use: properties\.revenue was number, is string"):
        tenant.run()
    tenant.definitions = definitions("integer")
    with pytest.raises(ConfigurationError, match="was number, is integer"):
        tenant.run()
