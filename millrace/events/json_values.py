"""The strict reading of JSON: what a text holds to its last byte, and what stands for a value where text or a number is wanted. messages.py calls it
for the few messages it cannot read in one go, so clear before fast.

A number is kept with its text: an integer stands for itself, anything else for the IEEE double nearest to it (ADR 0003).
"""

import json
import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, NoReturn

from millrace.traits.algebra import SCALE

DEEPEST = 800
"""Levels of nesting that are followed: what Python's own stack holds wherever a message may be read."""
LONGEST = 1_000
"""Digits of a number."""
_HALF_PAIR = re.compile(
    r"(?<!\\)(?:\\\\)*+\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F])"  # after an even number of backslashes
)
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
"""Text that counts as a number. Bounded on purpose: an exponent of a billion would keep a decimal parser busy for hours."""
_EXACT = Context(prec=1_200, rounding=ROUND_HALF_UP, Emax=10**6, Emin=-(10**6))
_LIMIT = 10 ** (15 + SCALE)


@dataclass(slots=True)
class Number:
    """A JSON number as the text that stands for it."""

    text: str


def parse_object(text: str) -> dict[str, Any] | None:
    """The one JSON object of a text; None when it holds anything else, half a surrogate pair (UTF-8 cannot keep it), or too many levels or digits.
    A key given twice counts as given last."""
    if ("\\u" in text and _HALF_PAIR.search(text)) or levels(text, beyond=DEEPEST) > DEEPEST:
        return None
    try:
        found = _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def text_of(value: Any) -> str | None:
    """What stands for a JSON value where text is wanted; None for null. Values are those of ``parse_object`` and plain numbers of Python."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Number):
        return value.text
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return double_text(value) if isinstance(value, float) else _compact(value)


def double_text(number: float) -> str:
    """A double in its shortest digits, with an exponent below 10**-3 and from 10**7 on: as Java writes it, which the log's first readers did."""
    if 1e-3 <= abs(number) < 1e7 or number == 0:
        return repr(number)
    if number in (float("inf"), float("-inf")):
        return '"Infinity"' if number > 0 else '"-Infinity"'
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    shown = "".join(map(str, digits)).rstrip("0")
    return f"{'-' if sign else ''}{shown[0]}.{shown[1:] or '0'}E{len(digits) + int(exponent) - 1}"


def scaled_number(value: Any) -> int | None:
    """A value as a number: decimal of nine digits rounded half up, times 10**9; None when it is none or has more than 15 digits before the point."""
    text = None if isinstance(value, bool | dict | list) else text_of(value)
    if text is None or not _NUMBER.fullmatch(text):
        return None
    number = int(Decimal(text).scaleb(SCALE, _EXACT).to_integral_value(ROUND_HALF_UP))
    return number if abs(number) < _LIMIT else None


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _number(text: str) -> Number:
    if len(text) > LONGEST and sum(map(str.isdigit, text)) > LONGEST:
        raise ValueError(f"a number of {len(text)} characters")
    return Number("0" if text == "-0" else text)


def _double(text: str) -> Number:
    return Number(double_text(float(_number(text).text)))


_DECODER = json.JSONDecoder(parse_int=_number, parse_float=_double, parse_constant=_refuse)


def levels(text: str, *, beyond: int) -> int:
    """Levels of nesting, looked for only where there could be more than ``beyond``; otherwise 0."""
    depth = deepest = 0
    if text.count("{") + text.count("[") <= beyond:
        return 0
    for token in _STRING_OR_BRACKET.findall(text):
        depth += (token in ("{", "[")) - (token in ("}", "]"))
        deepest = max(deepest, depth)
    return deepest


def _compact(value: Any) -> str:
    """An object or a list as JSON text; without recursion, as it may be deep. What is text already waits as a tuple of one."""
    found: list[str] = []
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, tuple):
            found.append(item[0])
        elif isinstance(item, dict):
            pairs = [part for key, inner in item.items() for part in ((",",), (f"{json.dumps(key, ensure_ascii=False)}:",), inner)]
            waiting.extend(reversed([("{",), *pairs[1:], ("}",)]))
        elif isinstance(item, list):
            items = [part for inner in item for part in ((",",), inner)]
            waiting.extend(reversed([("[",), *items[1:], ("]",)]))
        else:
            found.append(json.dumps(item, ensure_ascii=False) if isinstance(item, str) else text_of(item) or "null")
    return "".join(found)
