"""Functions of expressions by name: what they take and give. checking.py types calls by it; the documentation of the language is tests/millrace/expressions."""

from dataclasses import dataclass

COUNTABLE = ("integer", "number", "duration")
ORDERED = ("integer", "number", "text", "time", "duration")


@dataclass(frozen=True)
class Function:
    """``takes``: allowed types of each argument in turn; ``rest``: allowed types of any further ones; ``gives``: a type, or ``same`` for the type the arguments share."""

    says: str
    takes: tuple[tuple[str, ...], ...]
    gives: str
    rest: tuple[str, ...] = ()


FUNCTIONS = {
    "abs": Function("abs(x)", (COUNTABLE,), "same"),
    "round": Function("round(x) or round(x, 2)", (("integer", "number"),), "number", rest=("integer",)),
    "coalesce": Function("coalesce(x, y, …): the first that is known", ((*ORDERED, "boolean"),) * 2, "same", rest=(*ORDERED, "boolean")),
    "min": Function("min(x, y, …)", (ORDERED,) * 2, "same", rest=ORDERED),
    "max": Function("max(x, y, …)", (ORDERED,) * 2, "same", rest=ORDERED),
    "lower": Function("lower(text)", (("text",),), "text"),
    "length": Function("length(text)", (("text",),), "integer"),
    "number": Function("number(text)", (("text",),), "number"),
    "year": Function("year(time)", (("time",),), "integer"),
    "month": Function("month(time)", (("time",),), "integer"),
    "day": Function("day(time)", (("time",),), "integer"),
    "hour": Function("hour(time)", (("time",),), "integer"),
    "days": Function("days(duration), such as days(now - last_seen_at)", (("duration",),), "integer"),
    "count": Function("count(list) or count(times)", (("list", "times"),), "integer"),
    "bucket": Function('bucket("salt", person) or bucket("salt", person, 1000)', (("text",), ("text",)), "integer", rest=("integer",)),
    "followed_by": Function("followed_by(first_times, then_times, within: 30d)", (("times",),) * 2, "boolean", rest=("duration",)),
    "funnel": Function(
        "funnel(first_times, second_times, …, within: 7d): how many of the steps somebody took in this order", (("times",),) * 2, "integer", rest=("times", "duration")
    ),
    "not_followed_by": Function("not_followed_by(first_times, then_times, within: 3d)", (("times",),) * 2, "boolean", rest=("duration",)),
}
WAITING = ("followed_by", "not_followed_by", "funnel")
"""Functions that know ``within``."""
MOST_STEPS = 10
BUCKETS = 100
"""Shares of ``bucket`` unless it is told another number: per cent."""
CALENDAR = ("year", "month", "day", "hour")
