"""The other half of the oracle: the grocery tenant's traits beyond those of the default one, by DuckDB from the package's files. oracle.py joins the halves."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import duckdb

ZONE = "America/New_York"
SENT = """
WITH orders AS (
  SELECT household_id, basket_id, any_value(store_id) AS store_id, any_value(transaction_timestamp) AS moment, sum(sales_value::DECIMAL(18, 2)) AS revenue
  FROM transactions WHERE week <= $weeks GROUP BY household_id, basket_id
), coupons AS (
  SELECT household_id, redemption_date AS moment FROM coupon_redemptions
  WHERE moment < coalesce((SELECT min(transaction_timestamp) FROM transactions WHERE week > $weeks), TIMESTAMP '9999-01-01')
), said AS (
  SELECT *, TIMESTAMP '2017-01-01' AS moment FROM demographics WHERE $weeks >= 1
), """
"""What was sent in the first ``$weeks`` weeks, as the beginning of a query."""
MORE = (
    SENT
    + """
known AS (SELECT household_id FROM orders UNION SELECT household_id FROM coupons UNION SELECT household_id FROM said
), dated AS (
  SELECT *, store_id::VARCHAR AS store, (moment AT TIME ZONE 'UTC' AT TIME ZONE $zone)::DATE AS day FROM orders
), runs AS (
  SELECT household_id, day, day - row_number() OVER (PARTITION BY household_id ORDER BY day)::INTEGER AS run FROM (SELECT DISTINCT household_id, day FROM dated)
), rows_of_days AS (
  SELECT household_id, max(length) AS longest_streak, coalesce(max(length) FILTER (last >= $today::DATE - 1), 0) AS streak
  FROM (SELECT household_id, count(*) AS length, max(day) AS last FROM runs GROUP BY household_id, run) GROUP BY household_id
), by_store AS (
  SELECT household_id, list({value: store, count: orders} ORDER BY store) AS store_orders, list({value: store, count: orders} ORDER BY orders DESC, store)[:3] AS top_stores
  FROM (SELECT household_id, store, count(*) AS orders FROM dated GROUP BY household_id, store) GROUP BY household_id
), used AS (
  SELECT household_id, max(moment) AS last_coupon, count(*) FILTER (campaign_id::VARCHAR IN ('18', '13', '8')) AS coupons_of_18,
    list(DISTINCT campaign_id::VARCHAR ORDER BY campaign_id::VARCHAR) AS campaigns_used
  FROM coupon_redemptions c JOIN (SELECT DISTINCT household_id AS h, moment FROM coupons) ON h = household_id AND moment = redemption_date GROUP BY household_id
), bought AS (
  SELECT d.household_id,
    count(*) FILTER (moment >= $from_prev AND moment < $until_prev) AS orders_prev_30d, sum(revenue) FILTER (moment >= $from_prev AND moment < $until_prev) AS spend_prev_30d,
    count(*) FILTER (revenue >= 100) AS big_orders, sum(revenue) FILTER (revenue > 0 AND revenue < 9.99 AND moment >= $from_90d AND moment < $until_day) AS small_spend_90d,
    count(*) FILTER (store[1] = '3') AS orders_3xx, count(*)::HUGEINT AS n, sum((revenue * 100)::HUGEINT) AS cents, sum((revenue * 100)::HUGEINT * (revenue * 100)::HUGEINT) AS squares,
    quantile_disc(revenue, 0.5) AS median_basket, quantile_disc(revenue, 0.95) AS p95_basket,
    count(DISTINCT store) AS store_count, list(DISTINCT store ORDER BY store) AS store_list,
    count(*) FILTER (day = $today::DATE) AS orders_today, count(*) FILTER (day >= date_trunc('week', $today::DATE) AND day <= $today::DATE) AS orders_this_week,
    sum(revenue) FILTER (day >= date_trunc('month', $today::DATE) AND day <= $today::DATE) AS spend_this_month,
    sum(revenue) FILTER (date_trunc('month', day) = date_trunc('month', $today::DATE) - INTERVAL 1 MONTH) AS spend_last_month,
    count(*) FILTER (year(day) = year($today::DATE) AND day <= $today::DATE) AS orders_this_year,
    count(*) FILTER (moment >= $from_7d AND moment < $until_day) > 0 AS bought_7d, epoch_us($now) // 1000000 - epoch_us(max(moment)) // 1000000 AS order_age,
    count(DISTINCT day) AS shopping_days, list(moment ORDER BY moment) FILTER (moment >= $from_30d AND moment < $until_day) AS order_times_30d,
    count(*) FILTER (coalesce(moment > last_coupon, true)) AS orders_since,
    sum(revenue) FILTER (moment >= $from_30d AND moment < $until_day) AS spend_30d, count(*) FILTER (moment >= $from_30d AND moment < $until_day) AS orders_30d
  FROM dated d LEFT JOIN used u ON u.household_id = d.household_id GROUP BY d.household_id
)
SELECT k.household_id::VARCHAR AS household, coalesce(orders_prev_30d, 0) AS orders_prev_30d, coalesce(spend_prev_30d, 0) AS spend_prev_30d, coalesce(big_orders, 0) AS big_orders,
  coalesce(small_spend_90d, 0) AS small_spend_90d, coalesce(orders_3xx, 0) AS orders_3xx, coalesce(coupons_of_18, 0) AS coupons_of_18, median_basket, p95_basket,
  coalesce(store_count, 0) AS store_count, coalesce(store_list, []) AS store_list, top_stores[1].value AS usual_store, coalesce(top_stores, []) AS top_stores,
  coalesce(store_orders, []) AS store_orders, coalesce(campaigns_used, []) AS campaigns_used, coalesce(orders_today, 0) AS orders_today,
  coalesce(orders_this_week, 0) AS orders_this_week, coalesce(spend_this_month, 0) AS spend_this_month, coalesce(spend_last_month, 0) AS spend_last_month,
  coalesce(orders_this_year, 0) AS orders_this_year, coalesce(bought_7d, false) AS bought_7d, order_age, coalesce(shopping_days, 0) AS shopping_days,
  coalesce(streak, 0) AS streak, coalesce(longest_streak, 0) AS longest_streak, coalesce(order_times_30d, []) AS order_times_30d, coalesce(orders_since, 0) AS orders_since,
  kids_count AS kids, coalesce(n, 0) AS n, cents, squares, coalesce(spend_30d, 0) AS spend_30d, coalesce(orders_30d, 0) AS orders_30d
FROM known k LEFT JOIN bought USING (household_id) LEFT JOIN by_store USING (household_id) LEFT JOIN rows_of_days USING (household_id)
  LEFT JOIN used USING (household_id) LEFT JOIN said USING (household_id)"""
)
_HELD = ("household", "n", "cents", "squares", "spend_30d", "orders_30d")
"""Columns from which the last traits are computed here: DuckDB divides and takes roots in doubles."""


def more_traits(
    source: duckdb.DuckDBPyConnection, *, weeks: int, as_of: datetime, moments: Mapping[str, datetime]
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """The traits of every household by its id. ``moments``: bounds of windows without a zone."""
    now, day = as_of.astimezone(UTC).replace(tzinfo=None), timedelta(days=1)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    (today,) = source.execute("SELECT ($now AT TIME ZONE 'UTC' AT TIME ZONE $zone)::DATE", {"now": now, "zone": ZONE}).fetchone() or (None,)
    asked = {
        "weeks": weeks, "zone": ZONE, "today": today, "now": now, "until_prev": midnight - 30 * day, "from_prev": midnight - 60 * day, "from_7d": midnight - 7 * day,
        **{name: moments[name] for name in ("from_30d", "from_90d", "until_day")},
    }  # fmt: skip
    found = source.execute(MORE, asked)
    names = [column[0] for column in found.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return {row["household"]: {name: _aware(value) for name, value in (row | _computed(row)).items() if name not in _HELD} for row in rows}


def _computed(row: Mapping[str, Any]) -> dict[str, Any]:
    """Of cents, exactly, and rounded once at nine decimals."""
    n, cents, squares = int(row["n"]), int(row["cents"] or 0), int(row["squares"] or 0)
    spend, orders = row["spend_30d"], row["orders_30d"]
    with localcontext(prec=80):
        variance = Decimal(n * squares - cents * cents) / (n * (n - 1)) / 10_000 if n > 1 else None
        return {
            "basket_variance": _rounded(variance), "basket_stddev": _rounded(None if variance is None else variance.sqrt()),
            "basket_30d": _rounded(Decimal(spend) / orders) if orders else None, "spend_change": Decimal(spend) - Decimal(row["spend_prev_30d"]),
            "is_regular": orders >= 4 and row["bought_7d"],
        }  # fmt: skip


def _rounded(value: Decimal | None) -> Decimal | None:
    return None if value is None else value.quantize(Decimal("1e-9"), rounding=ROUND_HALF_UP)


def _aware(value: Any) -> Any:
    if isinstance(value, list):
        return [_aware(one) for one in value]
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value
