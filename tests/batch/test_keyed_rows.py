"""Views of other keys than persons on the real stack: built in the driver and on executors, published for BI tools, built anew when their key changes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from batch.build import build
from batch.keyed_rows import publish_rows
from millrace.definitions import Definitions, load_definitions
from millrace.errors import NothingToDo
from millrace.settings import BatchSettings
from tests.tenant import ORDERS, Tenant, order

pytestmark = [pytest.mark.stack, pytest.mark.spark]
AS_OF = datetime(2017, 5, 8, 1, tzinfo=UTC)
ON_EXECUTORS = BatchSettings(in_driver_rows=0, profiles_in_driver_rows=0)
TRAITS = {
    "orders": {"event": "Order Completed", "op": "count"}, "revenue": {"event": "Order Completed", "op": "sum", "value": "properties.revenue"},
    "revenue_2d": {"event": "Order Completed", "op": "sum", "value": "properties.revenue", "window": "2d"}, "basket": {"expr": "revenue / orders"},
    "largest": {"op": "max", "value": "properties.revenue"}, "usual": {"op": "most_frequent", "value": "properties.coupon"}, "last_at": {"op": "last", "value": "event_time"},
}  # fmt: skip
DEFINITIONS = Definitions.model_validate({"views": ORDERS | {
    "shop": {"key": "properties.store", "traits": TRAITS},
    "sales": {"key": {"day": "event_date", "shop": "properties.store"}, "time_zone": "Asia/Tokyo", "traits": TRAITS},
}})  # fmt: skip
ENRICHED = "person: {key: node, traits: {orders: {op: count}}}\nclass: {key: enriched.referrer.class, traits: {views: {op: count}}}\n"


def sold(number: int, **more) -> dict:
    at = datetime(2017, 5, 6, 7, tzinfo=UTC) + timedelta(hours=9 * (number % 5))
    properties = {"revenue": number, "store": f"s{number % 3}" if number % 4 else None, "coupon": f"c{number % 2}"}
    return order(f"m{number}", user=f"u{number % 7}", properties=properties, timestamp=at.isoformat()) | more


def rows(tenant: Tenant, name: str) -> list[dict]:
    return sorted(tenant.tables.read(name).to_pylist(), key=repr)


def no_spark() -> None:
    raise AssertionError("what fits the driver needs no Spark")


def test_driver_and_executors_give_the_same_rows_of_every_view(tenant: Tenant) -> None:
    tenant.definitions = DEFINITIONS
    tenant.send(*map(sold, range(40)))
    tenant.run(max_records=11)
    build(tenant.spark, tenant.tables, tenant.definitions)
    tenant.send(*map(sold, range(30, 70)))
    tenant.run()
    incremental = build(tenant.spark, tenant.tables, tenant.definitions)
    written = publish_rows(no_spark, tenant.tables, as_of=AS_OF)
    assert written == 3 + len(rows(tenant, "serving/views/sales"))
    in_driver = {name: rows(tenant, name) for name in ("serving/views/shop", "serving/views/sales")}
    tables = {name: rows(tenant, name) for name in ("batch/shop", "batch/sales")}
    full = build(tenant.spark, tenant.tables, tenant.definitions, full=True, settings=ON_EXECUTORS)
    assert (incremental.kind, full.kind) == ("incremental", "full")
    assert {name: rows(tenant, name) for name in tables} == tables
    assert full.proof["batch/shop"]["rows_compared"] > 0
    publish_rows(lambda: tenant.spark, tenant.tables, as_of=AS_OF, settings=ON_EXECUTORS)
    for name, found in in_driver.items():
        again = rows(tenant, name)
        assert {row.pop("manifest_id") for row in again} == {3} and {row.pop("manifest_id") for row in found} == {2}
        assert again == found
    chosen = [n for n in range(70) if n % 4 and n % 3 == 1]
    (north,) = (row for row in in_driver["serving/views/shop"] if row["store"] == "s1")
    assert (north["orders"], north["revenue"]) == (len(chosen), Decimal(sum(chosen)))
    assert north["basket"] == (Decimal(sum(chosen)) / len(chosen)).quantize(Decimal("1e-9"))
    assert sum(row["orders"] for row in in_driver["serving/views/sales"]) == len([n for n in range(70) if n % 4])
    assert {row["day"] for row in in_driver["serving/views/sales"]} == {"2017-05-06", "2017-05-07", "2017-05-08"}


def test_rows_are_written_when_something_has_moved_and_only_then(tenant: Tenant) -> None:
    tenant.definitions = DEFINITIONS
    tenant.send(*map(sold, range(10)))
    tenant.run()
    with pytest.raises(NothingToDo, match="no batch version"):
        publish_rows(no_spark, tenant.tables, as_of=AS_OF)
    build(tenant.spark, tenant.tables, tenant.definitions)
    assert publish_rows(no_spark, tenant.tables, as_of=AS_OF) > 0
    with pytest.raises(NothingToDo, match="already"):
        publish_rows(no_spark, tenant.tables, as_of=AS_OF + timedelta(hours=3))
    assert publish_rows(no_spark, tenant.tables, as_of=AS_OF + timedelta(days=3)) > 0
    assert {row["revenue_2d"] for row in rows(tenant, "serving/views/shop")} == {Decimal(0)}
    tenant.send(sold(11))
    tenant.run()
    assert publish_rows(no_spark, tenant.tables, as_of=AS_OF + timedelta(days=3)) > 0
    assert {row["head"] for row in rows(tenant, "serving/views/shop")} == {2}


def test_a_key_under_other_rules_is_counted_from_the_whole_log_again(tenant: Tenant, tmp_path: Path) -> None:
    """What the increments say by the old keys is not compared with the new ones, and the epochs after are counted by these."""
    (tmp_path / "views.yml").write_text(ENRICHED, encoding="utf-8")
    tenant.definitions = load_definitions(tmp_path)
    seen = [{"type": "page", "userId": "u", "messageId": f"p{n}", "context": {"page": {"referrer": f"https://{'news' if n % 2 else 'www.google'}.example.com/"}}} for n in range(6)]
    seen += [{"type": "page", "userId": "u", "messageId": "g", "context": {"page": {"referrer": "https://www.google.com/"}}}]
    tenant.send(*seen)
    tenant.run()
    build(tenant.spark, tenant.tables, tenant.definitions)
    publish_rows(no_spark, tenant.tables)
    before = {row["class"]: row["views"] for row in rows(tenant, "serving/views/class")}
    (tmp_path / "enrichment.yml").write_text("referrer: {classes: {news.example.com: social}}\n", encoding="utf-8")
    tenant.definitions = load_definitions(tmp_path)
    tenant.send({**seen[1], "messageId": "later"})
    tenant.run()
    manifest = build(tenant.spark, tenant.tables, tenant.definitions)
    publish_rows(no_spark, tenant.tables)
    after = {row["class"]: row["views"] for row in rows(tenant, "serving/views/class")}
    assert manifest.kind == "full" and "batch/class hop 0" in manifest.proof["batch/class"]["not_compared"]
    assert sum(before.values()) == 7 and after["social"] == 4 and sum(after.values()) == 8
