"""What every row of the views that are not of persons must be, computed by DuckDB straight from the package's files. The comparison calls it."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import duckdb

from millrace.demo.more_traits import SENT, ZONE
from millrace.demo.oracle import DAY, aware, rounded_mean, window_bounds

Rows = Mapping[tuple[str, ...], Mapping[str, Any]]
"""Traits by the parts of a key."""
_STORES = (
    SENT
    + """dated AS (SELECT *, store_id::VARCHAR AS store, (moment AT TIME ZONE 'UTC' AT TIME ZONE $zone)::DATE AS day FROM orders)
SELECT store, count(*) AS orders, sum(revenue) AS revenue, coalesce(sum(revenue) FILTER (moment >= $from_30d AND moment < $until_day), 0) AS revenue_30d,
  count(DISTINCT day) AS open_days, min(moment) AS first_order_at FROM dated GROUP BY store"""
)
_CAMPAIGNS = (
    SENT
    + """used AS (SELECT DISTINCT household_id AS household, moment FROM coupons)
SELECT campaign_id::VARCHAR AS campaign_id, count(*) AS coupons, min(redemption_date) AS first_used_at, max(redemption_date) AS last_used_at
FROM coupon_redemptions JOIN used ON household = household_id AND moment = redemption_date GROUP BY campaign_id"""
)
_SALES = (
    SENT
    + """dated AS (SELECT *, store_id::VARCHAR AS store, (moment AT TIME ZONE 'UTC' AT TIME ZONE $zone)::DATE AS day FROM orders)
SELECT day::VARCHAR AS day, store, count(*) AS orders, sum(revenue) AS revenue, max(revenue) AS largest_basket FROM dated GROUP BY day, store"""
)
_DEPARTMENTS = """
SELECT department, count(*) AS lines, sum(quantity) AS units, sum(sales_value::DECIMAL(18, 2)) AS revenue,
  coalesce(sum(sales_value::DECIMAL(18, 2)) FILTER (moment >= $from_30d AND moment < $until_day), 0) AS revenue_30d,
  max(sales_value::DECIMAL(18, 2)) AS dearest, count(DISTINCT product_id) AS products
FROM (SELECT *, any_value(transaction_timestamp) OVER (PARTITION BY household_id, basket_id) AS moment FROM transactions WHERE week <= $weeks) JOIN products USING (product_id)
WHERE department IS NOT NULL GROUP BY department"""
KEYS = {"store": ("store",), "campaign": ("campaign_id",), "sales": ("day", "store"), "department": ("department",)}
"""The columns of a query that make the key, by view."""


def expected_rows(source: duckdb.DuckDBPyConnection, *, weeks: int, as_of: datetime) -> dict[str, Rows]:
    """The rows of each view after the first ``weeks`` weeks."""
    from_30d, until_day = (moment.replace(tzinfo=None) for moment in window_bounds(as_of, 30 * DAY, tile=DAY))
    stores = _rows(source, "store", _STORES, {"weeks": weeks, "zone": ZONE, "from_30d": from_30d, "until_day": until_day})
    for row in stores.values():
        row["average_basket"] = rounded_mean(row["revenue"], row["orders"])
    departments = _rows(source, "department", _DEPARTMENTS, {"weeks": weeks, "from_30d": from_30d, "until_day": until_day})
    for row in departments.values():
        row["units"] = Decimal(row["units"])
    campaigns, sales = _rows(source, "campaign", _CAMPAIGNS, {"weeks": weeks}), _rows(source, "sales", _SALES, {"weeks": weeks, "zone": ZONE})
    return {"store": stores, "campaign": campaigns, "sales": sales, "department": departments}


def _rows(source: duckdb.DuckDBPyConnection, view: str, query: str, parameters: Mapping[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    found = source.execute(query, dict(parameters))
    names = [column[0] for column in found.description or ()]
    rows = [dict(zip(names, map(aware, row), strict=True)) for row in found.fetchall()]
    return {tuple(row.pop(name) for name in KEYS[view]): row for row in rows}
