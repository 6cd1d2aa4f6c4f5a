"""Single values of rows: as plain Python, as the type a column declares, as canonical JSON. shaping.py calls it.

A number is an exact decimal whatever it was, a time is text in UTC; two spellings of a value are one value.
"""

import math
import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from millrace.events.pulls import Column
from millrace.times import micros, time_text

_POINT = re.compile(r"[+-]?\d{1,29}(?:\.\d{1,29})?(?:[eE][+-]?\d{1,2})?", re.ASCII)
_COMMA = re.compile(r"[+-]?(?:\d{1,29}|\d{1,3}(?:\.\d{3})+)(?:,\d{1,29})?", re.ASCII)
_TRUE, _FALSE = frozenset({"true", "t", "yes", "y", "1"}), frozenset({"false", "f", "no", "n", "0"})
_PER_SECOND = {"seconds": 1, "milliseconds": 1_000}
utc = ZoneInfo("UTC")
_encoder = msgspec.json.Encoder(decimal_format="number", order="sorted")
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def from_json(text: str) -> Any:
    """The value of a JSON text, numbers exact."""
    return plain(_decoder.decode(text), utc)


def to_json(value: Any) -> bytes:
    """Canonical JSON: keys sorted, equal numbers written alike."""
    return _encoder.encode(value)


def plain(value: Any, zone: ZoneInfo) -> Any:
    """A value of Arrow or JSON as JSON has it: exact numbers, text for times (one without a zone is of ``zone``); NaN is absent."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return _exact(Decimal(repr(value))) if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, Decimal):
        return _exact(value)
    if isinstance(value, datetime):
        return _time_text(value, zone)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {key: plain(inner, zone) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner, zone) for inner in value]
    return str(value)


def _exact(number: Decimal) -> int | Decimal:
    return int(number) if number == number.to_integral_value() and number.adjusted() < 30 else number.normalize()


def _time_text(value: datetime, zone: ZoneInfo) -> str:
    return time_text(micros(value if value.tzinfo else value.replace(tzinfo=zone)))


def kind_of(value: Any) -> str:
    """What an undeclared column is remembered to hold."""
    kinds = {str: "text", bool: "boolean", int: "number", Decimal: "number", dict: "object", list: "array"}
    return kinds[type(value)]


def converter(column: Column, *, decimal: str, zone: ZoneInfo) -> Callable[[Any], Any]:
    """What makes a plain value one of the declared type; it raises ValueError for what is none."""
    if column.type == "number":
        return lambda value: _number(value, decimal)
    if column.type == "micros":
        return lambda value: _exact(Decimal(_number(value, decimal)).scaleb(-6))
    if column.type == "integer":
        return lambda value: _integer(value, decimal)
    if column.type in ("date", "time"):
        return lambda value: _date_or_time(value, column, zone)
    return {"text": _text, "boolean": to_boolean, "json": lambda value: value}[column.type]


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise ValueError
    return value if isinstance(value, str) else to_json(value).decode()


def _number(value: Any, decimal: str) -> int | Decimal:
    if isinstance(value, str):
        text = value.strip()
        if not (_COMMA if decimal == "," else _POINT).fullmatch(text):
            raise ValueError
        return _exact(Decimal(text.replace(".", "").replace(",", ".") if decimal == "," else text))
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError
    return value


def _integer(value: Any, decimal: str) -> int:
    found = _number(value, decimal)
    if not isinstance(found, int):
        raise ValueError
    return found


def to_boolean(value: Any) -> bool:
    """True or false, however usual data write it."""
    text = str(value).strip().lower()
    if isinstance(value, dict | list) or text not in _TRUE | _FALSE:
        raise ValueError
    return text in _TRUE


def _date_or_time(value: Any, column: Column, zone: ZoneInfo) -> str:
    per_second = _PER_SECOND.get(column.format or "")
    if per_second is not None:
        number = _number(value, ".")
        return time_text(int(Decimal(number) * 1_000_000 / per_second))
    if not isinstance(value, str):
        raise ValueError
    text = value.strip()
    found = datetime.strptime(text, column.format) if column.format else datetime.fromisoformat(text)
    if column.type == "time":
        return _time_text(found, zone)
    return (found.astimezone(zone) if found.tzinfo else found).date().isoformat()


def micros_of(text: str, zone: ZoneInfo) -> int:
    """Microseconds since 1970 of a date or time as text."""
    found = datetime.fromisoformat(text)
    return micros(found if found.tzinfo else found.replace(tzinfo=zone))
