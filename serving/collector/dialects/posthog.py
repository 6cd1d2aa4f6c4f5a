"""PostHog: ``/batch``, ``/capture``, ``/e``, ``/i/v0/e``. A batch, one event or an array of them; gzip, base64 or lz-string as the client packed it.

The write key is ``api_key`` or ``token``. ``$identify`` and ``$set`` become identify calls, ``$groupidentify`` a group call, ``$create_alias`` and
``$merge_dangerously`` alias calls, ``$pageview`` a page, ``$screen`` a screen, all else a track call of the same name. Who it was: ``distinct_id`` is an
anonymous id when the client says so (its device id, or an event without a person), otherwise a user id.
"""

import base64
import binascii
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import msgspec
from msgspec import UNSET, Raw, UnsetType

from millrace.times import milliseconds_text
from serving.collector.body import GZIP_MAGIC, declared_encoding, inflate
from serving.collector.dialects import lz64
from serving.collector.dialects.arrival import EPOCH, Arrival, Event, Translation, check_size, each, message, read, utf8, without_absent
from serving.collector.refusals import invalid

NAMES = {"userId": "distinct_id", "anonymousId": "distinct_id", "messageId": "uuid", "previousId": "distinct_id", "groupId": "properties.$group_key"}
_IDENTIFIES = frozenset({"$identify", "$set", "$set_once"})
_ALIASES = frozenset({"$create_alias", "$merge_dangerously"})
_Members = dict[str, Raw]


class Envelope(msgspec.Struct):
    """A batch, or a single event, whose own fields are not looked at here."""

    api_key: str | None = None
    token: str | None = None
    batch: list[Raw] | None = None
    sent_at: Any = None


class Captured(msgspec.Struct, rename={"set_": "$set", "set_once": "$set_once"}):
    """One event."""

    event: str | None = None
    distinct_id: Raw | UnsetType = UNSET
    properties: _Members | None = None
    set_: _Members | None = None
    set_once: _Members | None = None
    timestamp: str | int | float | None = None
    offset: int | float | None = None
    uuid: str | None = None
    api_key: str | None = None
    token: str | None = None


_envelope = msgspec.json.Decoder(Envelope)
_array = msgspec.json.Decoder(list[Raw])
_captured = msgspec.json.Decoder(Captured)
_members = msgspec.json.Decoder(_Members)


def translate(arrival: Arrival) -> Translation:
    body = _body(arrival)
    keys: set[str] = set()
    sent_at: Any = None
    if body[:1] == b"[":
        found = each(read(_array, body), "", arrival.limits)
    else:
        envelope = read(_envelope, body)
        keys |= {key for key in (envelope.api_key, envelope.token) if key is not None}
        sent_at = envelope.sent_at
        found = [("", body)] if envelope.batch is None else each(envelope.batch, "batch", arrival.limits)
    events = []
    for place, text in found:
        check_size(text, place, arrival.limits)
        event = read(_captured, text, place)
        properties = event.properties or {}
        keys |= {key for key in (event.api_key, event.token, _text(properties.get("token"))) if key is not None}
        events.append(Event(place, _message(event, properties, Raw(text), sent_at, arrival)))
    return Translation(events, frozenset(keys), NAMES)


def _body(arrival: Arrival) -> bytes:
    """What the client packed. Browsers cannot set a Content-Encoding on a beacon: then the bytes themselves tell gzip, and a form holds base64."""
    limit = arrival.limits.request_bytes
    body = inflate(arrival.body, declared_encoding(arrival.headers), limit=limit)
    if body.startswith(GZIP_MAGIC):
        body = inflate(body, b"gzip", limit=limit)
    if body.startswith(b"data="):
        form = parse_qs(utf8(body).decode().replace("+", "%2B"))  # a + is a digit of base64 here
        body = form.get("data", [""])[0].encode("utf-8", "replace")
        if "lz64" in (*form.get("compression", ()), *parse_qs(arrival.query).get("compression", ())):
            body = lz64.decompress(body, limit=limit)
        elif body.lstrip()[:1] not in (b"{", b"["):
            body = _base64(body)
    return utf8(body).strip(b" \t\r\n")


def _base64(text: bytes) -> bytes:
    try:
        return base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise invalid("malformed_base64", "data", "found data that is neither JSON nor base64, allowed both; encode the JSON of the events as base64") from None


def _message(event: Captured, properties: _Members, original: Raw, sent_at: Any, arrival: Arrival) -> bytes:
    name = event.event or ""
    distinct = _text(event.distinct_id) or _text(properties.get("distinct_id"))
    person = event.set_ or _object(properties.get("$set"))
    shared = {
        "messageId": event.uuid or _text(properties.get("uuid")) or None, "timestamp": _moment(event, arrival), "sentAt": sent_at if isinstance(sent_at, str) else None,
        "properties": {**{key: value for key, value in properties.items() if key != "token"}, **({"$set_once": event.set_once} if event.set_once else {})},
    }  # fmt: skip
    context = _context(properties)
    if name in _ALIASES:
        alias = _text(properties.get("alias")) or ""
        return message("posthog", original, type="alias", previousId=_text(properties.get("distinct_id")) or distinct, userId=alias, context=context, **shared)
    shared |= _who(name, distinct, properties)
    if name in _IDENTIFIES:
        return message("posthog", original, type="identify", traits=person or {}, context=context, **shared)
    if person:
        context["traits"] = person
    if name == "$groupidentify":
        group = _text(properties.get("$group_key")) or ""
        traits = {**(_object(properties.get("$group_set")) or {}), **({"group_type": properties["$group_type"]} if "$group_type" in properties else {})}
        return message("posthog", original, type="group", groupId=group, traits=traits, context=context, **shared)
    if name == "$pageview":
        return message("posthog", original, type="page", name=_text(properties.get("title")), context=context, **shared)
    if name == "$screen":
        return message("posthog", original, type="screen", name=_text(properties.get("$screen_name")), context=context, **shared)
    return message("posthog", original, type="track", event=name, context=context, **shared)


def _who(name: str, distinct: str | None, properties: _Members) -> dict[str, str | None]:
    device = _text(properties.get("$anon_distinct_id")) if name == "$identify" else None
    device = device or _text(properties.get("$device_id"))
    is_person = name == "$identify" or (device != distinct and not {b"false"} & {bytes(properties.get(flag, b"")) for flag in ("$is_identified", "$process_person_profile")})
    return {"userId": distinct, "anonymousId": device} if is_person else {"userId": None, "anonymousId": distinct}


def _moment(event: Captured, arrival: Arrival) -> str | None:
    if event.timestamp is not None:
        return event.timestamp if isinstance(event.timestamp, str) else milliseconds_text(event.timestamp)
    if event.offset is None:
        return None
    return milliseconds_text((arrival.received_at - EPOCH) / timedelta(milliseconds=1) - event.offset)


def _context(properties: _Members) -> dict[str, Any]:
    """The context that Segment's clients send too."""
    at = properties.get
    known = {
        "library": without_absent(name=at("$lib"), version=at("$lib_version")),
        "page": without_absent(url=at("$current_url"), path=at("$pathname"), referrer=at("$referrer"), title=at("title")),
        "screen": without_absent(width=at("$screen_width"), height=at("$screen_height")),
        "os": without_absent(name=at("$os"), version=at("$os_version")),
        "userAgent": at("$raw_user_agent"), "ip": at("$ip"), "locale": at("$browser_language"), "timezone": at("$timezone"), "groups": at("$groups"),
        "sessionId": at("$session_id"),
    }  # fmt: skip
    return without_absent(**known) or {}


def _text(value: Raw | UnsetType | None) -> str | None:
    """Text, or a number as its text; None for anything else."""
    if value is None or value is UNSET or bytes(value)[:1] in (b"{", b"[", b"n", b"t", b"f"):
        return None
    return read(_scalars, value) if bytes(value)[:1] == b'"' else bytes(value).decode()


def _object(value: Raw | None) -> _Members | None:
    return read(_members, value) if value is not None and bytes(value)[:1] == b"{" else None


_scalars = msgspec.json.Decoder(str)
