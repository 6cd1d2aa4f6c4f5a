"""Change records in the envelope of Debezium: of the bytes of a Kafka record, the row as it is after the change, and what is to be known of the change.

With or without the schema beside the payload. With it, dates, times and decimals that Debezium writes as numbers and bytes become what they are.
"""

import base64
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from batch.sources.values import to_json
from millrace.times import time_text

_DEEP = (msgspec.DecodeError, UnicodeError, RecursionError)
_decoder = msgspec.json.Decoder(float_hook=Decimal)
_NUMBERS = (("lsn",), ("file", "pos", "row"), ("change_lsn", "event_serial_no"), ("scn", "ssn"))
"""Fields by which databases number their changes: PostgreSQL, MySQL, SQL Server, Oracle."""
_UNAVAILABLE = "__debezium_unavailable_value"
"""What stands for a large value of PostgreSQL that the change did not touch."""
_DAY_ZERO = date(1970, 1, 1)


class Change(NamedTuple):
    """``operation``: c, u, r (of a snapshot), d, or None for a tombstone. ``values``: of a deleted row what is known of it, its key at least. ``at``: microseconds since
    1970, by the database's clock. ``number``: the database's own of this change; empty where it has none. ``key``: as text, to tell keys apart; ``named``: its fields."""

    operation: str | None
    values: dict[str, Any]
    named: dict[str, Any]
    at: int
    number: str
    key: str


def change_of(key: bytes | None, value: bytes | None, timestamp_ms: int) -> Change | str:
    """The change, or the reason why the record is none."""
    try:
        named = _payload(_decoder.decode(key)) if key else {}
        envelope = _decoder.decode(value) if value else None
    except _DEEP:
        return "malformed_row"
    named = named if isinstance(named, dict) else {}
    shown = to_json(named).decode()
    if envelope is None:
        return Change(None, named, named, timestamp_ms * 1_000, "", shown) if named else "missing_key"
    schema, payload = (envelope.get("schema"), _payload(envelope)) if isinstance(envelope, dict) else (None, None)
    if not isinstance(payload, dict) or not isinstance(payload.get("op"), str):
        return "no_change_record"
    operation = payload["op"]
    row = payload.get("before") if operation == "d" else payload.get("after")
    if operation not in ("c", "u", "r", "d") or not isinstance(row, dict | None) or (row is None and operation != "d"):
        return "unsupported_operation"
    source = payload.get("source") if isinstance(payload.get("source"), dict) else {}
    try:
        values = {**named, **_read(row or {}, schema, "before" if operation == "d" else "after")}
        at = _instant(source) or _instant(payload) or timestamp_ms * 1_000
    except (ValueError, TypeError, KeyError, ArithmeticError, OverflowError):
        return "wrong_type"
    if not values:
        return "missing_key"
    return "unavailable_value" if _UNAVAILABLE in values.values() else Change(operation, values, named, at, _number(source), shown)


def _payload(found: Any) -> Any:
    """The payload, behind a schema where there is one."""
    return found["payload"] if isinstance(found, dict) and found.keys() == {"schema", "payload"} else found


def _instant(fields: dict[str, Any]) -> int | None:
    if fields.get("ts_us"):
        return int(fields["ts_us"])
    return int(fields["ts_ms"]) * 1_000 if fields.get("ts_ms") else None


def _number(source: dict[str, Any]) -> str:
    for names in _NUMBERS:
        if source.get(names[0]) is not None:
            return ":".join(str(source.get(name)) for name in names)
    return ""


def _read(row: dict[str, Any], schema: Any, side: str) -> dict[str, Any]:
    """The row with its values as their schema says; without one as they are."""
    described = {field["field"]: field for field in (schema or {}).get("fields", ()) if field.get("field") == side}
    fields = {field["field"]: field for field in described.get(side, {}).get("fields", ())}
    return {name: _value(value, fields.get(name, {})) for name, value in row.items()}


def _value(value: Any, field: dict[str, Any]) -> Any:
    convert = _CONVERTERS.get(field.get("name", ""))
    if value is None or convert is None:
        return value
    return convert(value, field.get("parameters") or {})


def _decimal(value: Any, parameters: dict[str, str]) -> Any:
    """Two's complement, big end first, in base64; the scale beside it."""
    return Decimal(int.from_bytes(base64.b64decode(value, validate=True), "big", signed=True)).scaleb(-int(parameters.get("scale", 0)))


def _day(value: Any, _: dict[str, str]) -> str:
    return (_DAY_ZERO + timedelta(value)).isoformat()


def _time(per_second: int) -> Callable[[Any, dict[str, str]], str]:
    return lambda value, _: time_text(value * 1_000_000 // per_second)


_CONVERTERS: dict[str, Callable[[Any, dict[str, str]], Any]] = {
    "org.apache.kafka.connect.data.Decimal": _decimal, "org.apache.kafka.connect.data.Date": _day, "io.debezium.time.Date": _day,
    "org.apache.kafka.connect.data.Timestamp": _time(1_000), "io.debezium.time.Timestamp": _time(1_000),
    "io.debezium.time.MicroTimestamp": _time(1_000_000), "io.debezium.time.NanoTimestamp": _time(1_000_000_000),
    "io.debezium.data.Json": lambda value, _: _decoder.decode(value),
}  # fmt: skip


def as_of(timestamp_ms: int) -> datetime:
    """The time of a Kafka record."""
    return datetime.fromtimestamp(timestamp_ms / 1_000, UTC)
