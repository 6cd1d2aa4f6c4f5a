"""What is wrong with a trait as declared, in sentences. traits.py asks when it reads one; all that is wrong is told at once."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from millrace.enrichment.paths import is_known, unknown_path
from millrace.traits.lines import LINE_PATH
from millrace.traits.states import PLAIN_TYPES
from millrace.traits.windows import CALENDAR, LONGEST, ROLLING, seconds_of
from millrace.yaml_files import did_you_mean

if TYPE_CHECKING:
    from millrace.traits.traits import Trait

VALUE_PATH = re.compile(rf"^(properties|traits|context|enriched)(\.[A-Za-z0-9_$-]+)+$|{LINE_PATH.pattern}|^({'|'.join(PLAIN_TYPES)})$")
NEEDS = {
    "count": "counts events and takes no value; drop it, or use count_distinct",
    "exists": "asks whether there is an event and takes no value; drop it, or write `where: {properties.…: {exists: true}}`",
    "times": "keeps when events happened and takes no value; drop it",
    "time_since": "looks at when events happened and takes no value; drop it",
    "active_days": "looks at the days of events and takes no value; drop it",
    "streak": "looks at the days of events and takes no value; drop it",
    "longest_streak": "looks at the days of events and takes no value; drop it",
}
"""Operations without a value, and why."""
QUANTILES = {"p5": 5, "p10": 10, "p25": 25, "median": 50, "p75": 75, "p90": 90, "p95": 95, "p99": 99}
NUMERIC = ("sum", "avg", "variance", "stddev", *QUANTILES)
OF_VALUES = ("count_distinct", "unique_list", "most_frequent", "histogram", "top_k")
PREFERRED = ("first", "last")


def problems_of(trait: "Trait") -> Iterator[str]:
    """Every problem, one sentence each."""
    yield from _value_problems(trait)
    yield from _window_problems(trait)
    if any(not event.strip() for event in (*trait.event, *trait.since)):
        yield "event must not be empty; drop it to take every event"
    if trait.k is not None and trait.op != "top_k":
        yield f"k is how many values top_k shows; op {trait.op} has none, drop it"
    if (trait.prefer or trait.provenance) and trait.op not in PREFERRED:
        yield f"prefer and provenance are for op {' and '.join(PREFERRED)}, not for {trait.op}"
    if len(set(trait.prefer)) < len(trait.prefer):
        yield f"prefer names a source twice: {', '.join(trait.prefer)}"


def _value_problems(trait: "Trait") -> Iterator[str]:
    op, value, value_type = trait.op, trait.value, trait.value_type
    if op not in NEEDS and value is None:
        yield f"op {op} needs a value: a path such as properties.revenue, or event_time"
    if op in NEEDS and value is not None:
        yield f"op {op} {NEEDS[op]}"
    if op in NEEDS and value_type is not None:
        yield f"op {op} reads no value; drop value_type"
    if value is not None and not VALUE_PATH.match(value):
        yield f"value {value!r} is not a path: allowed are properties.… (properties.products[].price for each entry of a list), traits.…, context.…, enriched.…, event_time, received_at, name, type, source"
    elif value is not None and not is_known(value):
        yield f"value {unknown_path(value)}"
    if op in NUMERIC and (value_type not in (None, "number") or value in PLAIN_TYPES):
        yield f"op {op} works on numbers, not on {f'{value}' if value in PLAIN_TYPES else f'value_type {value_type}'}"
    elif value in PLAIN_TYPES and value_type not in (None, PLAIN_TYPES[value]):
        yield f"value {value} is of value_type {PLAIN_TYPES[value]}, not {value_type}; drop value_type"
    elif value_type == "time" and value not in PLAIN_TYPES:
        yield "value_type time is for event_time and received_at"
    if op in ("approx_distinct", *OF_VALUES) and PLAIN_TYPES.get(value or "") == "time":
        yield f"op {op} works on text{'' if op == 'approx_distinct' else ' and numbers'}, not on {value}"


def _window_problems(trait: "Trait") -> Iterator[str]:
    window, ago = trait.window, trait.ago
    if window is not None and window not in CALENDAR:
        if not ROLLING.match(window):
            calendar = did_you_mean(window, CALENDAR)
            yield f"window {window!r} is not a length{calendar}: allowed are hours (24h), days (30d), {', '.join(CALENDAR)}; drop it for lifetime"
        elif seconds_of(window) > LONGEST:
            yield f"window {window!r} is too long: at most 731 days; drop it for lifetime"
    if ago is not None:
        if not ROLLING.match(ago):
            yield f"ago {ago!r} is not a length: allowed are hours (24h) or days (30d); drop it for a window that ends now"
        elif seconds_of(ago) > LONGEST:
            yield f"ago {ago!r} is too long: at most 731 days"
        elif window is None or window in CALENDAR:
            yield f"ago moves a window of hours or days back; found window {window!r}, write one such as 30d"
        elif window.endswith("d") and not ago.endswith("d"):
            yield f"a window of days moves by days; found ago {ago!r}, write days, or the window in hours"
    if trait.since and trait.op != "count":
        yield f"since counts what came after the last event of a name: it is for op count, not for {trait.op}"
    if trait.since and window is not None:
        yield f"since and window {window!r} cannot both say where counting begins; drop one"
