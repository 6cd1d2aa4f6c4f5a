"""What every answer must be, computed by DuckDB straight from the package's files. The comparison calls it; nothing of Millrace's own arithmetic is used.

Enters: how many weeks were sent and the time the answers speak for. Leaves: the traits of conf/tenants/grocery/views.yml, one row per household; those that the default
tenant has too are fields of it, more_traits.py computes the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import duckdb

from millrace.demo.more_traits import SENT, more_traits

EXPECTED = (
    SENT
    + """
anything AS (
  SELECT household_id, moment FROM orders UNION ALL SELECT household_id, moment FROM coupons UNION ALL SELECT household_id, moment FROM said
), seen AS (
  SELECT household_id, max(moment) AS last_seen_at, count(*) FILTER (moment >= $from_24h AND moment < $until_hour) AS events_24h
  FROM anything GROUP BY household_id
), bought AS (
  SELECT household_id, count(*) AS orders_count, sum(revenue) AS revenue_total, max(revenue) AS largest_basket, min(revenue) AS smallest_basket,
    count(*) FILTER (moment >= $from_30d AND moment < $until_day) AS orders_30d,
    sum(revenue) FILTER (moment >= $from_30d AND moment < $until_day) AS spend_30d,
    sum(revenue) FILTER (moment >= $from_90d AND moment < $until_day) AS spend_90d,
    min(moment) AS first_order_at, max(moment) AS last_order_at, arg_max(store_id, moment)::VARCHAR AS last_store, count(DISTINCT store_id) AS stores
  FROM orders GROUP BY household_id
), used AS (
  SELECT household_id, count(*) AS coupons_used FROM coupons GROUP BY household_id
)
SELECT household_id::VARCHAR AS household, coalesce(orders_count, 0) AS orders_count, coalesce(revenue_total, 0) AS revenue_total,
  coalesce(spend_30d, 0) AS spend_30d, coalesce(spend_90d, 0) AS spend_90d,
  coalesce(orders_30d, 0) AS orders_30d, largest_basket, smallest_basket, first_order_at, last_order_at, last_store, coalesce(stores, 0) AS stores,
  coalesce(coupons_used, 0) AS coupons_used, events_24h, last_seen_at, age, income, home_ownership, household_size
FROM seen LEFT JOIN bought USING (household_id) LEFT JOIN used USING (household_id) LEFT JOIN said USING (household_id)
ORDER BY household_id"""
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Expected:
    """The traits of one household; None where there is nothing to show, 0 where nothing is counted or added up. Times are aware (UTC), money is exact."""

    household: str
    orders_count: int
    revenue_total: Decimal
    spend_30d: Decimal
    spend_90d: Decimal
    orders_30d: int
    largest_basket: Decimal | None
    smallest_basket: Decimal | None
    first_order_at: datetime | None
    last_order_at: datetime | None
    last_store: str | None
    stores: int
    coupons_used: int
    events_24h: int
    last_seen_at: datetime
    age: str | None
    income: str | None
    home_ownership: str | None
    household_size: str | None
    more: Mapping[str, Any] = field(default_factory=dict)

    def value(self, trait: str) -> Any:
        return self.more[trait] if trait in self.more else getattr(self, trait)

    @property
    def names(self) -> list[str]:
        """Names of the traits an answer is compared in."""
        return [*trait_names(), *self.more]

    @property
    def average_basket(self) -> Decimal | None:
        """Mean revenue of a basket at nine decimals, half away from zero."""
        return rounded_mean(self.revenue_total, self.orders_count) if self.orders_count else None

    @property
    def products_90d(self) -> int:
        """A till sees what is bought, not what is looked at: the data has no `Product Viewed`."""
        return 0


def rounded_mean(total: Decimal, count: int) -> Decimal:
    """At nine decimals, half away from zero."""
    with localcontext(prec=60):
        return (total / count).quantize(Decimal("1e-9"), rounding=ROUND_HALF_UP)


def window_bounds(as_of: datetime, length: timedelta, *, tile: timedelta) -> tuple[datetime, datetime]:
    """First and last moment (exclusive) of a window made of whole tiles: its tail is rounded down to the tile, its head up."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    start = as_of - (as_of - length - epoch) % tile - length
    return start, as_of + (epoch - as_of) % tile


def expected_profiles(source: duckdb.DuckDBPyConnection, *, weeks: int, as_of: datetime) -> dict[str, Expected]:
    """The households known after the first ``weeks`` weeks, by household id; a household without any event is not in it."""
    from_30d, until_day = window_bounds(as_of, 30 * DAY, tile=DAY)
    from_90d, _ = window_bounds(as_of, 90 * DAY, tile=DAY)
    from_24h, until_hour = window_bounds(as_of, 24 * HOUR, tile=HOUR)
    moments = {"from_30d": from_30d, "from_90d": from_90d, "until_day": until_day, "from_24h": from_24h, "until_hour": until_hour}
    naive = {name: moment.astimezone(UTC).replace(tzinfo=None) for name, moment in moments.items()}
    rows = source.execute(EXPECTED, {"weeks": weeks, **naive}).fetchall()
    more = more_traits(source, weeks=weeks, as_of=as_of, moments=naive)
    return {row[0]: Expected(*(aware(value) for value in row), more=more[row[0]]) for row in rows}


def all_households(source: duckdb.DuckDBPyConnection) -> list[str]:
    """Every household of the package, known or not yet, smallest id first."""
    rows = source.execute(
        "SELECT household_id::VARCHAR FROM (SELECT household_id FROM transactions UNION SELECT household_id FROM demographics) ORDER BY household_id"
    )
    return [household for (household,) in rows.fetchall()]


def trait_names() -> list[str]:
    """Names of the traits that are fields."""
    return [field.name for field in fields(Expected) if field.name not in ("household", "more")] + ["average_basket", "products_90d"]


def aware(value: Any) -> Any:
    """A time of DuckDB as one of UTC; anything else as it is."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
