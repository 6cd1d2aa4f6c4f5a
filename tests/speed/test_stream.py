"""The speed layer on a real broker and real Delta tables: what one run, a restart, and every kind of damage to the checkpoint leave behind."""

import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from millrace.definitions import Definitions
from millrace.errors import CoverageError
from millrace.tables.catalogue import EVENTS, OPS_ALERTS, REJECTED
from millrace.tables.ledger import read_ledger
from tests.tenant import ORDERS, Tenant, order

pytestmark = [pytest.mark.stack, pytest.mark.spark]


def test_every_record_is_accepted_rejected_or_duplicate_and_the_three_add_up(tenant: Tenant) -> None:
    tenant.send(order("m1"), order("m2"), order("m1"), b"not json", {"type": "track", "event": "x", "messageId": "m3"}, b"\xff\xfe")
    tenant.run()
    assert read_ledger(tenant.tables).counts() == {"accepted": 2, "rejected": 3, "duplicate": 1, "received": 6}
    assert tenant.orders() == 2
    rejected = tenant.tables.read(REJECTED).sort_by("offset").to_pylist()
    assert [(row["reason"], row["payload"]) for row in rejected][::2] == [("malformed_json", b"not json"), ("invalid_utf8", b"\xff\xfe")]
    assert rejected[1]["reason"] == "missing_identifier"


def test_restart_continues_where_the_ledger_ends(tenant: Tenant) -> None:
    tenant.send(order("m1"))
    tenant.run()
    tenant.send(order("m2"), order("m1"))
    tenant.run()
    assert read_ledger(tenant.tables).head == 2
    assert tenant.orders() == 2


def test_deleted_last_commit_file_writes_nothing_twice(tenant: Tenant) -> None:
    tenant.send(order("m1"), order("m2"))
    tenant.run()
    max((tenant.checkpoint / "commits").glob("[0-9]*")).unlink()
    tenant.send(order("m3"))
    tenant.run()
    assert tenant.orders() == 3
    assert tenant.tables.read(EVENTS).num_rows == 3


def test_lost_checkpoint_continues_from_the_ledger(tenant: Tenant) -> None:
    tenant.send(order("m1"), order("m2"))
    tenant.run(max_records=1)
    shutil.rmtree(tenant.checkpoint)
    tenant.send(order("m3"), order("m1"))
    tenant.run()
    assert tenant.orders() == 3
    offsets = [(row["partition"], row["offset"]) for row in tenant.tables.read(EVENTS).to_pylist()]
    assert Counter(offsets).most_common(1)[0][1] == 1


def test_checkpoint_of_another_time_stops_the_stream_with_a_sentence(tenant: Tenant, tmp_path: Path) -> None:
    tenant.send(order("m1"))
    tenant.run()
    shutil.copytree(tenant.checkpoint, tmp_path / "old")
    tenant.send(order("m2"))
    tenant.run()
    shutil.rmtree(tenant.checkpoint)
    shutil.copytree(tmp_path / "old", tenant.checkpoint)
    tenant.send(order("m3"))
    with pytest.raises(Exception, match="does not belong to these tables"):
        tenant.run()
    assert read_ledger(tenant.tables).head == 2


def test_spark_offsets_without_our_own_file_are_refused(tenant: Tenant) -> None:
    tenant.send(order("m1"))
    tenant.run()
    (tenant.checkpoint / "millrace.json").unlink()
    with pytest.raises(CoverageError, match="move the whole directory away"):
        tenant.run()


def test_new_definitions_are_announced_by_an_epoch_without_records(tenant: Tenant) -> None:
    tenant.send(order("m1"))
    tenant.run()
    changed = {
        "person": {"key": "node", "traits": ORDERS["person"]["traits"] | {"largest": {"event": "Order Completed", "op": "max", "value": "properties.revenue"}}}
    }
    tenant.definitions = Definitions.model_validate({"views": changed})
    tenant.send(order("m2", revenue=30))
    tenant.run()
    ledger = read_ledger(tenant.tables)
    assert ledger.head == 3
    assert ledger.definitions_since(1) == {tenant.definitions.hash}
    largest = tenant.tables.read("speed/person")["max_properties_revenue__order_completed"].to_pylist()
    assert sorted(map(str, largest)) == ["30.000000000", "None"]


def test_late_event_goes_to_the_tile_of_its_event_time(tenant: Tenant) -> None:
    tenant.definitions = Definitions.model_validate(
        {"views": {"person": {"key": "node", "traits": {"orders_7d": {"event": "Order Completed", "op": "count", "window": "7d"}}}}}
    )
    tenant.send(order("m1") | {"timestamp": "2020-02-02T02:02:02Z"}, order("m2") | {"timestamp": "1999-01-01T00:00:00Z"})
    tenant.run()
    starts = sorted(tenant.tables.read("speed/person")["hop_start"].to_pylist())
    assert [start.date().isoformat() for start in starts] == ["1999-01-01", "2020-02-02"]


def test_epoch_that_spark_committed_and_the_ledger_did_not_is_written_again(tenant: Tenant) -> None:
    tenant.send(order("m1"))
    tenant.run()
    tenant.send(order("m2"), order("m3"))
    tenant.run()
    max(Path(tenant.tables.path("log/ledger/_delta_log")).glob("*.json")).unlink()
    assert read_ledger(tenant.tables).head == 1
    tenant.run()
    assert read_ledger(tenant.tables).counts()["received"] == 3
    assert tenant.orders() == 3
    assert tenant.tables.read(EVENTS).num_rows == 3


def test_a_source_that_sends_mostly_garbage_raises_an_alert_and_no_other_does(tenant: Tenant) -> None:
    breaker = {"count": 3, "share": 0.5, "action": "pause", "pause": "1h"}
    tenant.definitions = Definitions.model_validate({"views": ORDERS, "sources": {"shop": {"breaker": breaker}, "blog": {"breaker": breaker}}})
    tenant.send(b"garbage", b"more", b"{}", order("m1"), source="shop")
    tenant.send(b"garbage", *(order(f"m{n}") for n in range(3)), source="blog")
    tenant.run()
    (alert,) = tenant.tables.read(OPS_ALERTS).to_pylist()
    assert (alert["source"], alert["received"], alert["rejected"], alert["epoch"]) == ("shop", 4, 3, 1)
    assert alert["until"] > datetime.now(UTC)
