"""Values of the oracle: JSON as the log holds it, numbers, times. Imports no module of the product.

A JSON number is kept with its text: an integer stands for itself, anything else for the IEEE double nearest to it.
"""

import json
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

Json = dict[str, Any]
DEEPEST = 1_000
"""Levels of nesting a JSON reader follows, and digits of an integer; deeper or longer text is not taken for JSON."""
UNIT = 10**9
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?(?:[Zz]|([+-])([0-9]{2})(?::?([0-9]{2}))?)?)?"
)
_HALF_PAIR = re.compile("[\ud800-\udfff]")
"""Half a surrogate pair: JSON can spell it, UTF-8 cannot hold it, so no reader can keep such a text."""
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_EXACT = Context(prec=1_200, rounding=ROUND_HALF_UP, Emax=10**6, Emin=-(10**6))


@dataclass(frozen=True)
class Number:
    """A JSON number as text: integers as written, others as the double they are read as."""

    text: str


def parse_object(text: str) -> Json | None:
    """The one JSON object a text holds; None when it holds anything else. A key given twice counts as given last."""
    if _depth(text) > DEEPEST:
        return None
    try:
        found = _DECODER.decode(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and not _HALF_PAIR.search(json.dumps(found, default=vars, ensure_ascii=False)) else None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _integer(text: str) -> Number:
    if len(text.lstrip("-")) > DEEPEST:
        raise ValueError(f"an integer of {len(text)} digits")
    return Number("0" if text == "-0" else text)


_DECODER = json.JSONDecoder(
    parse_int=_integer, parse_float=lambda text: Number(java_text(float(text))), parse_constant=_no_constant
)


def _depth(text: str) -> int:
    depth = deepest = 0
    if text.count("{") + text.count("[") <= DEEPEST:
        return 0
    for token in _STRING_OR_BRACKET.findall(text):
        depth += (token in ("{", "[")) - (token in ("}", "]"))
        deepest = max(deepest, depth)
    return deepest


def java_text(number: float) -> str:
    """A double as Java writes it: shortest digits, with an exponent below 10**-3 and from 10**7 on."""
    if number in (float("inf"), float("-inf")):
        return '"Infinity"' if number > 0 else '"-Infinity"'
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    shown = "".join(map(str, digits)).rstrip("0") or "0"
    point = len(digits) + exponent if number else 1
    minus = "-" if sign else ""
    if number and not -3 < point <= 7:
        return f"{minus}{shown[0]}.{shown[1:] or '0'}E{point - 1}"
    if point <= 0:
        return f"{minus}0.{'0' * -point}{shown}"
    return f"{minus}{shown[:point].ljust(point, '0')}.{shown[point:] or '0'}"


def text_of(value: Any) -> str | None:
    """What stands for a JSON value where text is wanted."""
    if value is None:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, Number):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    return _compact(value)


def _compact(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(text_of(key), ensure_ascii=False)}:{_compact(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_compact(inner) for inner in value) + "]"
    return json.dumps(text_of(value), ensure_ascii=False) if isinstance(value, str) else "null" if value is None else text_of(value) or ""


def at_path(message: Json, path: str) -> Any:
    """Value at a dotted path of objects; None when there is none. A text directly in a body that is itself a JSON object counts as that object."""
    found: Any = message
    for depth, key in enumerate(path.split(".")):
        if depth == 2 and isinstance(found, str):
            found = parse_object(found)
        found = found.get(key) if isinstance(found, dict) else None
    return found


def number_of(value: Any) -> int | None:
    """A value as a decimal of nine digits, times 10**9, rounded half up; None when it is no number or has more than 15 digits before the point."""
    if not isinstance(value, str | Number):
        return None
    text = value if isinstance(value, str) else value.text
    if not _NUMBER.fullmatch(text):
        return None
    scaled = int(Decimal(text).scaleb(9, _EXACT).to_integral_value(ROUND_HALF_UP))
    return scaled if abs(scaled) < 10**15 * UNIT else None


def parse_time(text: str) -> int | None:
    """Microseconds since 1970 of an ISO 8601 time; without a zone it is UTC; digits beyond the microsecond are cut off. None when it is none."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    micros = int((match[7] or "").ljust(6, "0")[:6])
    zone = (int(match[9] or 0) * 60 + int(match[10] or 0)) * (-1 if match[8] == "-" else 1)
    lengths = [31, 29 if year % 4 == 0 and (year % 100 or year % 400 == 0) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    if not (1 <= month <= 12 and 1 <= day <= lengths[month - 1] and hour < 24 and minute < 60 and second < 60):
        return None
    if abs(zone) > 18 * 60 or int(match[10] or 0) > 59:
        return None
    days = 365 * year + (year + 3) // 4 - (year + 99) // 100 + (year + 399) // 400 + sum(lengths[: month - 1]) + day - 1 - 719_528
    return ((days * 24 + hour) * 60 + minute - zone) * 60_000_000 + second * 1_000_000 + micros


def time_text(micros: int) -> str:
    """RFC 3339 with Z; the fraction only when it is not zero."""
    days, rest = divmod(micros, 86_400_000_000)
    year, month, day = _date(days)
    minutes, rest = divmod(rest, 60_000_000)
    seconds, fraction = divmod(rest, 1_000_000)
    return f"{year:04d}-{month:02d}-{day:02d}T{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}{f'.{fraction:06d}' if fraction else ''}Z"


def _date(days: int) -> tuple[int, int, int]:
    """Proleptic Gregorian date of a day counted from 1970-01-01 (civil-from-days, Hinnant)."""
    days += 719_468
    era, day_of_era = divmod(days, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1
