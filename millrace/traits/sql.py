"""Traits as SQL text (DuckDB) over one person's events: what a trait means, for people to read and to check by hand. ``show_traits`` prints it; a law runs it.

The relation ``events`` has event_time, received_at, type, name, source, "partition", "offset", and a text column for each path, named by it (``"properties.revenue"``).
``lines``, which a trait that reads lines asks instead, has a row for each entry of the list, with its number (``line``) and columns such as ``"properties.products[].price"``.
``number(text)`` is the text as DECIMAL(38,9), null where it is no number. Enriched values are columns too, which Millrace computes and SQL cannot: a comment says so. Averages and deviations are floating in DuckDB; Millrace rounds them once, at nine digits.
"""

from collections.abc import Callable, Iterable, Mapping

from millrace.enrichment.paths import PREFIX
from millrace.expressions.duckdb_form import DuckForm, text_literal
from millrace.times import MICROS, time_text
from millrace.traits.bounded import BOUND
from millrace.traits.checks import QUANTILES
from millrace.traits.filter_rules import RULE, rule_of
from millrace.traits.filters import NOT_IN, SYMBOLS, Condition, exact_number
from millrace.traits.lines import reads_lines
from millrace.traits.traits import ALL_TIME, LOCAL_DAY, TOP, Trait
from millrace.traits.zones import date_of, local_day

ORDER = 'event_time, "partition", "offset"'
LINE_ORDER = f"{ORDER}, line"
_AGGREGATES: Mapping[str, str] = {
    "count": "count(*)", "exists": "count(*) > 0", "sum": "coalesce(sum({x}), 0)", "avg": "avg({x})", "min": "min({x})", "max": "max({x})", "variance": "var_samp({x})",
    "stddev": "stddev_samp({x})", "first": f"first({{x}} ORDER BY {ORDER})", "last": f"last({{x}} ORDER BY {ORDER})",
    "approx_distinct": "count(DISTINCT nullif({x}, ''))", "count_distinct": "count(DISTINCT {x})", "unique_list": "coalesce(list(DISTINCT {x} ORDER BY {x}), [])",
    "times": f"coalesce(list(event_time ORDER BY event_time)[-{BOUND}:], [])", "active_days": "count(DISTINCT {day})",
    **{op: f"quantile_disc({{x}}, {percent / 100})" for op, percent in QUANTILES.items()},
}  # fmt: skip
_GROUPED: Mapping[str, str] = {
    "most_frequent": "SELECT value FROM (SELECT {x} AS value FROM {table}{where}) GROUP BY value ORDER BY count(*) DESC, value LIMIT 1",
    "histogram": "SELECT value, count(*) AS count FROM (SELECT {x} AS value FROM {table}{where}) GROUP BY value ORDER BY value",
    "top_k": "SELECT value, count(*) AS count FROM (SELECT {x} AS value FROM {table}{where}) GROUP BY value ORDER BY count DESC, value LIMIT {k}",
}
_RUNS = (
    "WITH days AS (SELECT DISTINCT {day} AS day FROM {table}{where}), runs AS (SELECT day, day - row_number() OVER (ORDER BY day)::INTEGER AS run FROM days{until}) "
    "SELECT coalesce(max(length), 0) FROM (SELECT count(*) AS length, max(day) AS last FROM runs GROUP BY run){having}"
)


def trait_sql(trait: Trait, at: int, *, of_lines: bool = False) -> str:
    """One SELECT whose result is the trait as of ``at`` (microseconds); of histogram and top_k a row a value. ``of_lines``: in a view whose keys are of lines."""
    return _select(trait, at, of_lines) + _not_of_messages(trait)


def _not_of_messages(trait: Trait) -> str:
    """A comment that names the columns no message holds, and the rules by which Millrace computes them."""
    enriched = sorted({path for state in trait.states for path, _ in state.reads if path.startswith(PREFIX)})
    rules = ", ".join(sorted({state.rules for state in trait.states if state.rules}))
    return f" -- not in messages, computed by Millrace under rules {rules}: {', '.join(enriched)}" if enriched else ""


def _select(trait: Trait, at: int, of_lines: bool) -> str:
    value, day = _value(trait.value or "event_time", trait.resolved_type), _local_day("event_time", trait.time_zone)
    table = "lines" if of_lines or any(map(reads_lines, trait.states)) else "events"
    where = _where([*_chosen(trait.event, trait.type), *map(_condition, trait.conditions), *_inside(trait, at), *([f"{value} IS NOT NULL"] if trait.value else [])])
    if trait.op in _GROUPED:
        return _GROUPED[trait.op].format(x=value, table=table, where=where, k=trait.k or TOP)
    if trait.op in ("streak", "longest_streak"):
        today = f"DATE {_text(date_of(local_day(trait.time_zone, at // MICROS)).isoformat())}"
        is_current = trait.op == "streak"
        return _RUNS.format(day=day, table=table, where=where, until=f" WHERE day <= {today}" if is_current else "", having=f" WHERE last >= {today} - 1" if is_current else "")
    found = _aggregate(trait, value, day, at)
    return f"SELECT {found if table == 'events' else found.replace(ORDER, LINE_ORDER)} FROM {table}{where}"


def _aggregate(trait: Trait, value: str, day: str, at: int) -> str:
    if trait.op == "time_since":
        return f"CASE WHEN max(event_time) > {_time(at)} THEN 0 ELSE (epoch_us({_time(at)}) - epoch_us(max(event_time))) // {MICROS} END"
    if trait.since:
        since = [*map(_condition, trait.of_sources), *_inside(trait, at)]
        last = f"(SELECT max(event_time) FROM events{_where([*_chosen(trait.since, None), *since])})"
        return f"count(*) FILTER (coalesce(event_time > {last}, true))"
    plain = _AGGREGATES[trait.op].format(x=value, day=day)
    return f"coalesce({', '.join([*(f'{plain} FILTER (source = {_text(source)})' for source in trait.prefer), plain])})" if trait.prefer else plain


def _chosen(events: Iterable[str], type: str | None) -> list[str]:
    names = [_text(event) for event in events]
    return [*([f"type = 'track' AND name IN ({', '.join(names)})"] if names else []), *([f"type = {_text(type)}"] if type else [])]


def _condition(condition: Condition) -> str:
    if condition.operator == RULE:
        return DuckForm(_leaf).sql(rule_of(condition.value).tree)
    value, operand = _value(condition.path, condition.value_type), condition.value
    shown: Callable[[object], str] = _number if condition.value_type == "number" else _text
    if condition.operator == "exists":
        return f"{value} IS {'NOT ' if operand else ''}NULL"
    if condition.operator == "prefix":
        return f"starts_with({value}, {_text(operand)})"
    if condition.operator in ("in", NOT_IN):
        return f"{value} {'NOT ' if condition.operator == NOT_IN else ''}IN ({', '.join(map(shown, operand))})"
    return f"{value} {SYMBOLS[condition.operator]} {shown(operand)}"


def _leaf(path: str, type: str) -> str:
    """A path in a rule as what it is read as."""
    value = _value(path, type)
    return f"CASE {value} WHEN 'true' THEN true WHEN 'false' THEN false END" if type == "boolean" else value


def _inside(trait: Trait, at: int) -> list[str]:
    if trait.hop == ALL_TIME:
        return []
    first, until = trait.span.tiles(at)
    if trait.hop == LOCAL_DAY:
        day = _local_day("event_time", trait.time_zone)
        return [f"{day} >= DATE {_text(date_of(first).isoformat())} AND {day} < DATE {_text(date_of(until).isoformat())}"]
    return [f"event_time >= {_time(first * trait.hop * MICROS)} AND event_time < {_time(until * trait.hop * MICROS)}"]


def _local_day(time: str, zone: str) -> str:
    return f"{time}::DATE" if zone == "UTC" else f"({time} AT TIME ZONE 'UTC' AT TIME ZONE {_text(zone)})::DATE"


def _value(path: str, value_type: str) -> str:
    return f'number("{path}")' if value_type == "number" else path if "." not in path else f'"{path}"'


def _where(conditions: list[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _time(at: int) -> str:
    return f"TIMESTAMP {_text(time_text(at).rstrip('Z').replace('T', ' '))}"


def _number(value: object) -> str:
    return f"{exact_number(value):f}::DECIMAL(38,9)"  # type: ignore[arg-type]


def _text(value: object) -> str:
    return text_literal(str(value))
