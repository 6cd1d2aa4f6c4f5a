"""Snowplow: the tracker protocol, ``GET /i`` and ``POST /com.snowplowanalytics.snowplow/tp2``. Each event is a flat mapping of short names to text.

The write key is the app id (``aid``), or a part of the path before either endpoint, which leaves the app id free. A page view becomes a page call, a screen
view a screen call, anything else a track call: named by its action (structured) or by the name of its schema (self-describing). Contexts go to
``context.contexts_<vendor>_<name>_<version>``, always a list, as Snowplow's own warehouse loaders name them.
"""

import base64
import binascii
import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Raw

from millrace.times import milliseconds_text
from serving.collector.dialects.arrival import Arrival, Event, Translation, check_size, content_of, each, message, read, without_absent
from serving.collector.refusals import invalid

NAMES = {"userId": "uid", "anonymousId": "duid", "messageId": "eid", "event": "se_ac"}
_IGLU = re.compile(r"iglu:([\w.-]+)/([\w.-]+)/[\w.-]+/(\d+)-\d+-\d+", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,30})(?:\.\d{1,30})?", re.ASCII)
_OFFSETS = {"pp_mix": "min_x", "pp_max": "max_x", "pp_miy": "min_y", "pp_may": "max_y"}
_STRUCTURED = {"se_ca": "category", "se_ac": "action", "se_la": "label", "se_pr": "property", "se_va": "value"}
_ORDER = {
    "tr_id": "order_id", "tr_af": "affiliation", "tr_tt": "revenue", "tr_tx": "tax", "tr_sh": "shipping", "tr_cu": "currency", "tr_ci": "city",
    "tr_st": "state", "tr_co": "country",
}  # fmt: skip
_ITEM = {"ti_id": "order_id", "ti_sk": "sku", "ti_nm": "name", "ti_ca": "category", "ti_pr": "price", "ti_qu": "quantity", "ti_cu": "currency"}
_TRACKED = {"pp": ("page_ping", _OFFSETS), "tr": ("Order Completed", _ORDER), "ti": ("transaction_item", _ITEM)}
_NUMBERS = frozenset({"revenue", "tax", "shipping", "price", "quantity", "value", *_OFFSETS.values()})
"""Values that are numbers, though the protocol sends all as text."""


class Described(msgspec.Struct):
    """Self-describing JSON."""

    schema: str
    data: Raw


class Payload(msgspec.Struct):
    """The body of a POST."""

    data: list[Raw]


_payload = msgspec.json.Decoder(Payload)
_fields = msgspec.json.Decoder(dict[str, Any])
_described = msgspec.json.Decoder(Described)
_all_described = msgspec.json.Decoder(list[Described])
_members = msgspec.json.Decoder(dict[str, Raw])


def from_post(arrival: Arrival) -> Translation:
    """Events of a ``tp2`` payload."""
    found = each(read(_payload, content_of(arrival)).data, "data", arrival.limits)
    return _translation([(place, Raw(text), _texts(place, read(_fields, text, place))) for place, text in found], arrival)


def from_get(arrival: Arrival) -> Translation:
    """The one event of a query."""
    check_size(arrival.query.encode(), "query", arrival.limits)
    return _translation([("query", arrival.query, dict(parse_qsl(arrival.query)))], arrival)


def _texts(place: str, fields: dict[str, Any]) -> dict[str, str]:
    """The protocol knows text only; a number that some tracker sends counts as its text."""
    for name, value in fields.items():
        if isinstance(value, dict | list):
            raise invalid("wrong_type", f"{place}.{name}", "found an object or an array, allowed text; send self-describing JSON as the text of ue_pr or co")
    return {name: value if isinstance(value, str) else msgspec.json.encode(value).decode() for name, value in fields.items() if value is not None}


def _translation(found: list[tuple[str, Any, dict[str, str]]], arrival: Arrival) -> Translation:
    events = [Event(place, _message(place, original, fields, arrival)) for place, original, fields in found]
    visited = any(not _identified(fields) for _, _, fields in found)
    return Translation(events, frozenset(fields.get("aid", "") for _, _, fields in found), NAMES, visited)


def _identified(fields: dict[str, str]) -> bool:
    return any(fields.get(name, "").strip() for name in ("uid", "duid", "nuid", "tnuid"))


def _message(place: str, original: Any, fields: dict[str, str], arrival: Arrival) -> bytes:
    kind, name, properties, schema = _said(place, fields)
    anonymous_id = fields.get("duid") or fields.get("nuid") or fields.get("tnuid") or (None if _identified(fields) else arrival.visitor)
    moment, sent = fields.get("ttm") or fields.get("dtm"), fields.get("stm")
    context = {**_surroundings(fields, arrival), **({"schema": schema} if schema else {}), **_contexts(place, fields)}
    return message(
        "snowplow", original, type=kind, **{"event" if kind == "track" else "name": name}, messageId=fields.get("eid") or None, userId=fields.get("uid"),
        anonymousId=anonymous_id, timestamp=milliseconds_text(moment) if moment else None, sentAt=milliseconds_text(sent) if sent else None, properties=properties, context=context,
    )  # fmt: skip


def _said(place: str, fields: dict[str, str]) -> tuple[str, str | None, dict[str, Any] | None, str | None]:
    """Type, name, properties and schema of what happened."""
    kind = fields.get("e", "")
    if kind == "pv":
        return "page", fields.get("page"), _page(fields), None
    if kind == "se":
        return "track", fields.get("se_ac", ""), _renamed(fields, _STRUCTURED), None
    if kind == "ue":
        return _self_described(place, fields)
    if kind in _TRACKED:
        name, names = _TRACKED[kind]
        return "track", name, _renamed(fields, names), None
    found = "no e" if not kind else "an event type that is none of them"
    raise invalid("unknown_type", f"{place}.e", f"found {found}, allowed pv, pp, se, ue, tr, ti; set one of them")


def _renamed(fields: dict[str, str], names: dict[str, str]) -> dict[str, Any]:
    found = {name: fields[short] for short, name in names.items() if short in fields}
    return {name: Raw(value.encode()) if name in _NUMBERS and _NUMBER.fullmatch(value) else value for name, value in found.items()}


def _page(fields: dict[str, str]) -> dict[str, Any] | None:
    url = fields.get("url")
    try:
        parts = urlsplit(url or "")
    except ValueError:
        parts = urlsplit("")
    return without_absent(url=url, title=fields.get("page"), referrer=fields.get("refr"), path=parts.path or None, search=f"?{parts.query}" if parts.query else None)


def _self_described(place: str, fields: dict[str, str]) -> tuple[str, str | None, dict[str, Any], str]:
    name, text = _plain_or_base64(place, fields, "ue_pr", "ue_px")
    if text is None:
        raise invalid("missing_field", f"{place}.ue_pr", "found a self-describing event without ue_pr and ue_px, allowed one of them; send what happened")
    outer = read(_described, text, f"{place}.{name}")
    inner = read(_described, outer.data, f"{place}.{name}.data")
    event = _named(inner.schema, f"{place}.{name}.data.schema")[1]
    properties = read(_members, inner.data, f"{place}.{name}.data.data")
    if event != "screen_view":
        return "track", event, properties, inner.schema
    screen = properties.get("name")
    return "screen", msgspec.json.decode(screen) if screen and bytes(screen).startswith(b'"') else None, properties, inner.schema


def _contexts(place: str, fields: dict[str, str]) -> dict[str, list[Raw]]:
    name, text = _plain_or_base64(place, fields, "co", "cx")
    found: dict[str, list[Raw]] = {}
    if text is not None:
        outer = read(_described, text, f"{place}.{name}")
        for number, entity in enumerate(read(_all_described, outer.data, f"{place}.{name}.data")):
            vendor, schema, model = _named(entity.schema, f"{place}.{name}.data[{number}].schema")
            found.setdefault(f"contexts_{vendor.replace('.', '_')}_{schema}_{model}", []).append(entity.data)
    return found


def _plain_or_base64(place: str, fields: dict[str, str], plain: str, encoded: str) -> tuple[str, bytes | None]:
    """The name under which a text was sent, and the text."""
    if text := fields.get(encoded):
        try:
            padded = text.rstrip("=").encode("ascii")
            decoded = base64.urlsafe_b64decode(padded.translate(bytes.maketrans(b"+/", b"-_")) + b"=" * (-len(padded) % 4))
            decoded.decode()
        except (UnicodeError, binascii.Error, ValueError):
            raise invalid("malformed_base64", f"{place}.{encoded}", "found text that is not base64 of UTF-8, allowed base64url; encode it or send it plainly") from None
        return encoded, decoded
    text = fields.get(plain)
    return plain, text.encode("utf-8", "replace") if text else None


def _named(schema: str, field: str) -> tuple[str, str, str]:
    """Vendor, name and major version of a schema."""
    found = _IGLU.fullmatch(schema)
    if found is None:
        raise invalid("unknown_schema", field, "found a schema that is no iglu URI, allowed iglu:vendor/name/format/1-0-0; name the schema of the event so")
    return found[1], found[2], found[3]


def _surroundings(fields: dict[str, str], arrival: Arrival) -> dict[str, Any]:
    """The context that Segment's clients send too."""
    width, _, height = fields.get("res", "").partition("x")
    is_web = fields.get("p") == "web"
    known = {
        "page": without_absent(url=fields.get("url"), title=fields.get("page"), referrer=fields.get("refr")),
        "library": without_absent(name="snowplow", version=fields.get("tv")),
        "screen": {"width": int(width), "height": int(height)} if re.fullmatch(r"\d{1,6}x\d{1,6}", fields.get("res", ""), re.ASCII) else None,
        "userAgent": fields.get("ua") or (arrival.headers.get("user-agent") if is_web else None),
        "ip": fields.get("ip"), "locale": fields.get("lang"), "timezone": fields.get("tz"), "platform": fields.get("p"), "tracker": fields.get("tna"),
        "sessionId": fields.get("sid"),
    }  # fmt: skip
    return without_absent(**known) or {}
