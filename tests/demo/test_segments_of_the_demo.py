"""Each segment of the demo's tenant over the real purchases beside a query over the files of the package, written by hand: both find the same households.

The traits come from the demo's oracle, which is compared with the answers of the system elsewhere: what is shown here is what rules make of them.
"""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from millrace.definitions import load_definitions
from millrace.demo.events import last_moment
from millrace.demo.oracle import expected_profiles, window_bounds
from millrace.demo.source import open_source
from millrace.demo.system import GROCERY
from millrace.segments import compile_segments
from millrace.traits.algebra import scaled
from millrace.traits.finish import micros

WEEKS = 45
DEFINITIONS = load_definitions(GROCERY)
VIEWS = """
CREATE TEMP TABLE baskets AS
  SELECT household_id AS h, basket_id, any_value(store_id) AS store, any_value(transaction_timestamp) AS t, sum(sales_value::DECIMAL(18, 2)) AS paid
  FROM transactions WHERE week <= 45 GROUP BY ALL;
CREATE TEMP TABLE redeemed AS
  SELECT household_id AS h, campaign_id AS campaign FROM coupon_redemptions
  WHERE redemption_date < (SELECT min(transaction_timestamp) FROM transactions WHERE week > 45);
CREATE TEMP TABLE everyone AS SELECT h FROM baskets UNION SELECT h FROM redeemed UNION SELECT household_id FROM demographics;
CREATE TEMP TABLE quarter AS SELECT h, coalesce(sum(paid), 0) AS paid FROM everyone LEFT JOIN (FROM baskets WHERE t >= $from_90 AND t < $until) USING (h) GROUP BY h;
"""
SLIPPING = """SELECT h FROM baskets GROUP BY h HAVING count(*) FILTER (t >= $from_60 AND t < $from_30) >= 4
  AND 2 * count(*) FILTER (t >= $from_30 AND t < $until) < count(*) FILTER (t >= $from_60 AND t < $from_30)"""
TOP_TENTH = "SELECT h FROM quarter q WHERE (SELECT count(*) FROM quarter o WHERE o.paid < q.paid) >= 0.9 * (SELECT count(*) FROM quarter)"
BIG_SPENDERS = "SELECT h FROM baskets GROUP BY h HAVING sum(paid) >= 1000"
QUERIES = {
    "seniors": "SELECT household_id FROM demographics WHERE age LIKE '65%'",
    "young_families": "SELECT household_id FROM demographics WHERE left(age, 2) IN ('19', '25', '35') AND kids_count IN ('1', '2', '3+')",
    "affluent_owners": """SELECT household_id FROM demographics WHERE home_ownership = 'Homeowner' AND income NOT LIKE 'Under%'
        AND regexp_extract(income, '[0-9]+')::INT >= 100""",
    "large_households": "SELECT household_id FROM demographics WHERE left(household_size, 1) >= '4'",
    "regulars": "SELECT h FROM baskets WHERE t >= $from_30 AND t < $until GROUP BY h HAVING count(*) > 7",
    "slipping": SLIPPING,
    "lapsed": "SELECT h FROM baskets GROUP BY h HAVING max(t) < $now::TIMESTAMP - INTERVAL 30 DAY",
    "one_store": "SELECT h FROM baskets GROUP BY h HAVING min(store) = max(store) AND count(*) > 4",
    "newcomers": "SELECT h FROM baskets GROUP BY h HAVING min(t) > $now::TIMESTAMP - INTERVAL 90 DAY",
    "big_baskets": "SELECT h FROM baskets GROUP BY h HAVING sum(paid) >= 50 * count(*) AND sum(paid) <= 100 * count(*)",
    "spending_more": """SELECT h FROM baskets GROUP BY h HAVING 2 * sum(paid) FILTER (t >= $from_30 AND t < $until)
        > 3 * sum(paid) FILTER (t >= $from_60 AND t < $from_30) AND sum(paid) FILTER (t >= $from_60 AND t < $from_30) > 0""",
    "big_spenders": BIG_SPENDERS,
    "top_tenth": TOP_TENTH,
    "worth_a_call": f"({SLIPPING}) INTERSECT (({BIG_SPENDERS}) UNION ({TOP_TENTH}))",
    "coupon_minded": "SELECT h FROM redeemed GROUP BY h HAVING count(*) > 2",
    "campaign_18": "SELECT h FROM redeemed WHERE campaign = 18",
    "no_coupons": "SELECT h FROM baskets WHERE h NOT IN (SELECT h FROM redeemed) GROUP BY h HAVING count(*) > 9",
}


def python_form(value: Any) -> Any:
    if isinstance(value, Decimal):
        return scaled(value.quantize(Decimal("1e-9")))
    return micros(value) if isinstance(value, datetime) else tuple(value) if isinstance(value, list) else value


def used(query: str, moments: dict[str, datetime]) -> dict[str, datetime] | None:
    """The parameters a query names: DuckDB takes no others."""
    return {name: moments[name] for name in re.findall(r"\$(\w+)", query)} or None


@pytest.fixture(scope="module")
def found() -> dict[str, tuple[set[str], set[str]]]:
    """By segment: the members by its rule, and by the query."""
    with open_source() as source:
        as_of = last_moment(source, weeks=WEEKS)
        profiles = expected_profiles(source, weeks=WEEKS, as_of=as_of)
        spends = sorted(python_form(one.spend_90d) for one in profiles.values())
        threshold = next(value for value in spends if 10 * sum(other < value for other in spends) >= 9 * len(spends))
        bounds = {length: window_bounds(as_of, timedelta(days=length), tile=timedelta(days=1)) for length in (30, 60, 90)}
        moments = {
            "from_30": bounds[30][0],
            "until": bounds[30][1],
            "from_60": bounds[60][0],
            "from_90": bounds[90][0],
            "now": as_of,
        }
        naive = {name: moment.replace(tzinfo=None) for name, moment in moments.items()}
        for statement in VIEWS.strip().split(";\n"):
            source.execute(statement, used(statement, naive))
        members = {}
        for segment in compile_segments(DEFINITIONS, {("spend_90d", "reaches", 900_000_000): threshold}):
            by_rule = {
                household
                for household, one in profiles.items()
                if segment.holds({name: python_form(one.value(name)) for name in segment.traits}, micros(as_of))
            }
            query = QUERIES[segment.name]
            members[segment.name] = by_rule, {str(row[0]) for row in source.execute(query, used(query, naive)).fetchall()}
        return members


@pytest.mark.parametrize("name", DEFINITIONS.segments)
def test_a_segment_holds_the_households_that_its_query_finds(found: dict[str, tuple[set[str], set[str]]], name: str) -> None:
    by_rule, by_query = found[name]
    assert by_rule == by_query
    assert by_query


def test_there_are_segments_of_all_four_kinds_and_a_query_for_each() -> None:
    kinds = {segment.kind for segment in DEFINITIONS.segments.values()}
    assert kinds == {"demographic", "behavioural", "psychographic", "transactional"}
    assert len(DEFINITIONS.segments) >= 15 and set(QUERIES) == set(DEFINITIONS.segments)
