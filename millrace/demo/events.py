"""Real purchases as Segment messages. Enters: the views of `millrace.demo.source`; leaves: one week's messages in time order. The sender calls it.

One basket is one `Order Completed`, one coupon redemption one `Coupon Applied`, one row of demographics one `identify`. A household is a `userId`;
the data holds no other identifier of it, so none is made up. Message ids come from the data's own keys: sending a week again adds duplicates only.
Demographics carry no time: they are said at the start of 2017. Redemptions carry a date only: they are said at its midnight.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb

CURRENCY = "USD"

WEEK_STARTS = "week_starts AS (SELECT week, min(transaction_timestamp) AS start_at FROM transactions GROUP BY week)"

ORDERS = """
WITH lines AS (
  SELECT t.*, sales_value::DECIMAL(18, 2) AS value, p.department,
         retail_disc::DECIMAL(18, 2) + coupon_disc::DECIMAL(18, 2) + coupon_match_disc::DECIMAL(18, 2) AS discount
  FROM transactions t LEFT JOIN products p USING (product_id) WHERE t.week = $week)
SELECT household_id::VARCHAR AS household, any_value(transaction_timestamp) AS event_time, 1 AS kind, basket_id::VARCHAR AS id,
  to_json({
    type: 'track', event: 'Order Completed', messageId: 'order-' || basket_id, userId: household_id::VARCHAR,
    timestamp: strftime(any_value(transaction_timestamp), '%Y-%m-%dT%H:%M:%SZ'),
    properties: {
      order_id: basket_id::VARCHAR, store_id: any_value(store_id)::VARCHAR, week: any_value(week),
      revenue: sum(value)::VARCHAR, discount: sum(discount)::VARCHAR, currency: $currency,
      products: list({product_id: product_id::VARCHAR, category: department, quantity: quantity,
                      sales_value: value::VARCHAR, discount: discount::VARCHAR} ORDER BY product_id)}})::VARCHAR AS message
FROM lines GROUP BY household_id, basket_id"""

COUPONS = f"""
WITH {WEEK_STARTS}, dated AS (
  SELECT r.*, coalesce(s.week, (SELECT min(week) FROM week_starts)) AS week FROM coupon_redemptions r ASOF LEFT JOIN week_starts s ON r.redemption_date >= s.start_at)
SELECT household_id::VARCHAR AS household, redemption_date AS event_time, 2 AS kind,
  concat_ws('-', household_id, campaign_id, coupon_upc, strftime(redemption_date, '%Y%m%d')) AS id,
  to_json({{
    type: 'track', event: 'Coupon Applied', userId: household_id::VARCHAR,
    messageId: concat_ws('-', 'coupon', household_id, campaign_id, coupon_upc, strftime(redemption_date, '%Y%m%d')),
    timestamp: strftime(redemption_date, '%Y-%m-%dT%H:%M:%SZ'),
    properties: {{coupon_id: coupon_upc::VARCHAR, campaign_id: campaign_id::VARCHAR}}}})::VARCHAR AS message
FROM dated WHERE week = $week"""

TRAITS = "age, income, home_ownership, marital_status, household_size, household_comp, kids_count"

HOUSEHOLDS = f"""
WITH known AS (UNPIVOT demographics ON {TRAITS} INTO NAME trait VALUE answer)
SELECT household_id::VARCHAR AS household, TIMESTAMP '2017-01-01 00:00:00' AS event_time, 0 AS kind, household_id::VARCHAR AS id,
  to_json({{
    type: 'identify', messageId: 'household-' || household_id, userId: household_id::VARCHAR, timestamp: '2017-01-01T00:00:00Z',
    traits: json_group_object(trait, answer)}})::VARCHAR AS message
FROM known WHERE $week = (SELECT min(week) FROM transactions) GROUP BY household_id"""


@dataclass(frozen=True)
class Event:
    """One message as it is sent: ``message`` is the JSON text, ``event_time`` is aware (UTC), ``household`` is the userId."""

    household: str
    event_time: datetime
    message: str
    is_order: bool = False


def events_of_week(source: duckdb.DuckDBPyConnection, week: int) -> list[Event]:
    """All messages of the package's ``week`` (1 to 53) in time order; following weeks never go back in time. An unknown week is empty.

    The package's weeks start on Monday at local midnight (04:00 or 05:00 UTC). A redemption belongs to the last week begun at its time.
    """
    everything = (
        f"SELECT household, event_time, message, kind = 1 FROM (({HOUSEHOLDS}) UNION ALL ({ORDERS}) UNION ALL ({COUPONS})) ORDER BY event_time, kind, id"
    )
    rows = source.execute(everything, {"week": week, "currency": CURRENCY}).fetchall()
    return [Event(household, event_time.replace(tzinfo=UTC), message, is_order) for household, event_time, message, is_order in rows]


def count_events(source: duckdb.DuckDBPyConnection, *, weeks: int) -> int:
    """How many messages the first ``weeks`` weeks hold."""
    counted = f"""
        WITH {WEEK_STARTS}
        SELECT (SELECT count(DISTINCT basket_id) FROM transactions WHERE week <= $weeks)
             + (SELECT count(*) FROM coupon_redemptions WHERE $weeks >= 1
                AND NOT EXISTS (FROM week_starts WHERE week > $weeks AND start_at <= redemption_date))
             + (SELECT count(*) FROM demographics WHERE $weeks >= 1)"""
    return source.execute(counted, {"weeks": weeks}).fetchall()[0][0]


def last_moment(source: duckdb.DuckDBPyConnection, *, weeks: int) -> datetime:
    """When the last basket of the first ``weeks`` weeks was bought."""
    return source.execute("SELECT max(transaction_timestamp) FROM transactions WHERE week <= $weeks", {"weeks": weeks}).fetchall()[0][0].replace(tzinfo=UTC)
