"""Traits of the oracle: from a person's events to the value of one trait, all events at once, in plain Python. Imports no module of the product."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tests.laws.oracle_values import at_path, number_of, text_of, time_text

if TYPE_CHECKING:
    from tests.laws.oracle import Event

SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND
BOUND = 1_000
PERCENT = {"p5": 5, "p10": 10, "p25": 25, "median": 50, "p75": 75, "p90": 90, "p95": 95, "p99": 99}
COUNTED = ("count_distinct", "unique_list", "most_frequent", "histogram", "top_k")
Trait = Mapping[str, Any]
Answer = int | str | bool | list[Any] | None

WRITTEN: Mapping[str, Callable[["Event", str | None, int | None], bool]] = {
    "properties.product.id = 'apple' or properties.revenue > 10.5": lambda event, product, revenue: product == "apple" or (revenue or 0) > 10_500_000_000,
    "source != 'http' and (properties.product.id or properties.revenue is null)": lambda event, product, revenue: event.source != "http"
    and (product == "true" or revenue is None),
}
"""What the filters say that the traits of the histories have as text."""


def value_of(trait: Trait, events: list["Event"], as_of: int) -> Answer:
    """The finished value of one trait over the events of a person or of another key. None also where the value is beyond what is kept; spreads of more numbers than the bound are not for here."""
    matching = [event for event in in_lines(trait, events) if matches(trait, event) and in_window(trait, event.event_time, as_of)]
    if "since" in trait:
        last = max((event.event_time for event in events if event.type == "track" and event.name == trait["since"]), default=-1)
        return sum(event.event_time > last for event in matching)
    times = sorted(event.event_time for event in matching)
    days = sorted({local_date(at, trait) for at in times})
    plain = {
        "count": len(times), "exists": bool(times), "times": [time_text(at) for at in times[-BOUND:]], "active_days": len(days),
        "time_since": max(0, as_of - times[-1]) // SECOND if times else None, "streak": streak(days, local_date(as_of, trait)), "longest_streak": longest(days),
    }  # fmt: skip
    return plain[trait["op"]] if trait["op"] in plain else of_values(trait, matching)


def in_lines(trait: Trait, events: list["Event"]) -> list["Event"]:
    """The events, or where the trait reads values of lines the lines of them all."""
    read = [path for path in (trait.get("value"), *(trait["where"] if isinstance(trait.get("where"), dict) else ())) if path and "[]." in path]
    return [line for event in events for line in lines_of(event, read[0].partition("[].")[0])] if read else events


def lines_of(event: "Event", path: str) -> list["Event"]:
    """An event for each entry of the list at ``body.key``: there is the entry in the place of the list."""
    if event.line is not None:
        return [event]
    body, key = path.split(".")
    entries = at_path(event.message, path)
    if not isinstance(entries, list):
        return []
    return [replace(event, line=number, message={**event.message, body: {**event.message[body], f"{key}[]": entry}}) for number, entry in enumerate(entries)]


def of_values(trait: Trait, matching: list["Event"]) -> Answer:
    """What is made of the values of the events."""
    op, kind = trait["op"], value_type(trait)
    pairs = [((event.event_time, event.record.partition, event.record.offset, event.line or 0), typed(event, trait["value"], kind), event.source) for event in matching]
    usable = [(order, value, source) for order, value, source in pairs if value is not None]
    values = [value for _, value, _ in usable]
    shown = {"number": decimal_text, "string": str, "time": time_text}[kind]
    if op == "approx_distinct":
        return len({value for value in values if value != ""})
    if op in COUNTED:
        return counted(trait, Counter(values), shown)
    if op == "sum":
        return decimal_text(sum(values))
    if not usable:
        return None
    if op in PERCENT:
        return decimal_text(next(value for place, value in enumerate(sorted(values), 1) if 100 * place >= PERCENT[op] * len(values)))
    if op == "avg":
        return rounded(Fraction(sum(values), len(values)))
    if op in ("variance", "stddev"):
        return spread_of(values, op)
    if op in ("min", "max"):
        return shown(min(values) if op == "min" else max(values))
    ranks = [[one for one in usable if one[2] == source] for source in trait.get("prefer", ())]
    usable = next((of_source for of_source in ranks if of_source), usable)
    return shown((min(usable) if op == "first" else max(usable))[1])


def counted(trait: Trait, counts: Counter[Any], shown: Any) -> Answer:
    op = trait["op"]
    if len(counts) > BOUND:
        return None
    if op == "count_distinct":
        return len(counts)
    if op == "unique_list":
        return [shown(value) for value in sorted(counts)]
    often = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    if op == "most_frequent":
        return shown(often[0][0]) if often else None
    chosen = sorted(counts.items()) if op == "histogram" else often[: trait.get("k", 5)]
    return [{"value": shown(value), "count": count} for value, count in chosen]


def spread_of(values: list[int], op: str) -> str | None:
    """Variance or standard deviation of a sample, from the deviations themselves."""
    if len(values) < 2:
        return None
    mean = Fraction(sum(values), len(values))
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1) / 10**9
    if op == "variance":
        return rounded(variance) if rounded_number(variance) < 10**38 else None
    with localcontext(prec=200):
        exact = variance * 10**9
        root = (Decimal(exact.numerator) / Decimal(exact.denominator)).sqrt()
        return decimal_text(int(root.quantize(Decimal(1), ROUND_HALF_UP)))


def rounded_number(number: Fraction) -> int:
    """The nearest integer, half away from zero."""
    return int(abs(number) + Fraction(1, 2)) * (-1 if number < 0 else 1)


def rounded(number: Fraction) -> str:
    return decimal_text(rounded_number(number))


def streak(days: list[date], today: date) -> int:
    day = today if today in days else today - timedelta(days=1)
    return 0 if day not in days else 1 + next(number for number in range(len(days) + 1) if day - timedelta(days=number + 1) not in days)


def longest(days: list[date]) -> int:
    return max((streak(days, day) for day in days), default=0)


def local_date(at: int, trait: Trait) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)).astimezone(ZoneInfo(trait.get("time_zone", "UTC"))).date()


def matches(trait: Trait, event: "Event") -> bool:
    names = [trait["event"]] if isinstance(trait.get("event"), str) else list(trait.get("event") or ())
    is_chosen = (not names or (event.type == "track" and event.name in names)) and trait.get("type") in (None, event.type)
    if isinstance(trait.get("where"), str):
        return is_chosen and WRITTEN[trait["where"]](event, typed(event, "properties.product.id", "string"), typed(event, "properties.revenue", "number"))
    return is_chosen and all(holds(path, wanted, event) for path, wanted in trait.get("where", {}).items())


def holds(path: str, wanted: Any, event: "Event") -> bool:
    """Whether all conditions on one path hold."""
    conditions = wanted if isinstance(wanted, dict) else {"eq": wanted}
    text = typed(event, path, "string")
    for operator, operand in conditions.items():
        if operator == "exists":
            fine = (text is not None) == operand
        elif operator == "prefix":
            fine = text is not None and text.startswith(operand)
        elif isinstance(operand, list):
            fine = any(holds(path, {"eq": one}, event) for one in operand)
        elif isinstance(operand, bool | str):
            fine = text == (operand if isinstance(operand, str) else str(operand).lower())
        else:
            number, bound = typed(event, path, "number"), int(Decimal(str(operand)) * 10**9)
            fine = number is not None and {"eq": number == bound, "gt": number > bound, "gte": number >= bound, "lt": number < bound, "lte": number <= bound}[operator]
        if not fine:
            return False
    return True


def in_window(trait: Trait, event_time: int, as_of: int) -> bool:
    """Tiles from floor(as_of - window) to below ceil(as_of); moved back they end with floor(as_of - ago); a calendar's are dates; a lifetime has one for everything."""
    window, ago = trait.get("window"), trait.get("ago")
    if not window:
        return True
    if not window[0].isdigit():
        return in_calendar(window, local_date(event_time, trait), local_date(as_of, trait))
    hop = HOUR if window.endswith("h") else DAY
    start = event_time // hop * hop
    if ago:
        until = (as_of - int(ago[:-1]) * (HOUR if ago.endswith("h") else DAY)) // hop * hop
        return until - int(window[:-1]) * hop <= start < until
    return (as_of - int(window[:-1]) * hop) // hop * hop <= start < -(-as_of // hop) * hop


def in_calendar(window: str, day: date, today: date) -> bool:
    """Whether a date is in a window of the calendar, by the fields of the dates themselves."""
    when, _, unit = window.partition("_")
    if window in ("today", "yesterday"):
        return day == today - timedelta(days=window == "yesterday")
    period = {"week": lambda at: at.isocalendar()[:2], "month": lambda at: (at.year, at.month), "year": lambda at: at.year}[unit]
    if when == "this":
        return period(day) == period(today) and day <= today
    before = {"week": lambda: today - timedelta(days=7), "month": lambda: today.replace(day=1) - timedelta(days=1), "year": lambda: date(today.year - 1, 7, 1)}[unit]()
    return period(day) == period(before)


def value_type(trait: Trait) -> str:
    if trait["op"] == "approx_distinct":
        return "string"
    if trait["value"] in ("event_time", "received_at"):
        return "time"
    return trait.get("value_type") or ("string" if trait["op"] in ("first", "last", *COUNTED) else "number")


def typed(event: "Event", path: str, kind: str) -> Any:
    """Value of an event at a path: decimals as integers scaled by 10**9, times in microseconds; None when absent or unusable."""
    plain = {"event_time": event.event_time, "received_at": event.record.received_at, "name": event.name, "type": event.type, "source": event.source}
    found = plain[path] if path in plain else at_path(event.message, path)
    if kind == "number":
        return number_of(found)
    if isinstance(found, int) and path in plain:
        return found if kind == "time" else time_text(found)
    return text_of(found)


def decimal_text(scaled: int) -> str:
    whole, fraction = divmod(abs(scaled), 10**9)
    digits = f"{fraction:09d}".rstrip("0")
    return ("-" if scaled < 0 else "") + str(whole) + ("." + digits if digits else "")
