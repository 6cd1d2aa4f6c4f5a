"""CloudEvents 1.0 over HTTP (``POST /v1/cloudevents``): structured, batched and binary mode, told apart by the content type as the HTTP binding says.

``type`` names the event of a track call and ``data`` is its properties. Extension attributes say the rest: ``userid`` and ``anonymousid`` who it was (either may
stand in data as userId or anonymousId), ``call`` another type of message (data is then the traits of identify and group), ``groupid`` and ``previousid``.
The subject of an event is not taken for a person: it may be an order. The message id comes from source and id, which together name an event for good.
"""

import uuid
from typing import Any
from urllib.parse import unquote

import msgspec
from msgspec import Raw

from serving.collector.dialects.arrival import Arrival, Event, Translation, check_size, content_of, each, message, read
from serving.collector.refusals import invalid

NAMES = {"userId": "userid", "anonymousId": "anonymousid", "previousId": "previousid", "groupId": "groupid", "event": "type", "type": "call", "messageId": "id"}
STRUCTURED, BATCHED = "application/cloudevents+json", "application/cloudevents-batch+json"
NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")
"""Of URLs (RFC 9562): the source of an event is a URI reference."""
_REQUIRED = ("specversion", "id", "source", "type")
_CARRYING_TRAITS = frozenset({"identify", "group"})

_attributes = msgspec.json.Decoder(dict[str, Raw])
_array = msgspec.json.Decoder(list[Raw])
_text = msgspec.json.Decoder(str | int | bool | None)


def translate(arrival: Arrival) -> Translation:
    content_type = arrival.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = content_of(arrival)
    if content_type == BATCHED:
        found = each(read(_array, body), "", arrival.limits)
        return Translation([Event(place, _structured(text, place)) for place, text in found], names=NAMES)
    check_size(body, "", arrival.limits)
    if content_type == STRUCTURED:
        return Translation([Event("", _structured(body, ""))], names=NAMES)
    if "ce-specversion" not in arrival.headers:
        raise invalid("unknown_content_type", "Content-Type", f"found neither a CloudEvents content type nor a ce-specversion header, allowed {STRUCTURED}, {BATCHED} or ce- headers; send the event in one of these modes")
    return Translation([Event("", _binary(arrival, body, content_type))], names={name: f"ce-{header}" for name, header in NAMES.items()})


def _structured(text: bytes, place: str) -> bytes:
    found = read(_attributes, text, place)
    data, encoded = found.pop("data", None), found.pop("data_base64", None)
    attributes = {name: _attribute(value, f"{place}.{name}".strip(".")) for name, value in found.items()}
    return _message(attributes, data if encoded is None else {"data_base64": encoded}, Raw(text), place)


def _attribute(value: Raw, place: str) -> str | None:
    found = read(_text, value, place)
    return found if found is None or isinstance(found, str) else msgspec.json.encode(found).decode()


def _binary(arrival: Arrival, body: bytes, content_type: str) -> bytes:
    attributes = {name[3:]: unquote(value) for name, value in arrival.headers.items() if name.startswith("ce-")}
    is_json = content_type.endswith(("/json", "+json")) or not content_type
    data: Any = None
    if body.strip(b" \t\r\n"):
        data = read(_any, body, "body") if is_json else body.decode()
    return _message(attributes, data, {**attributes, "datacontenttype": content_type, "data": data}, "")


_any = msgspec.json.Decoder(Raw)


def _message(attributes: dict[str, str | None], data: Any, original: Any, place: str) -> bytes:
    for name in _REQUIRED:
        if not (attributes.get(name) or "").strip():
            raise invalid("missing_field", f"{place}.{name}".strip("."), f"found no {name}, allowed a text that is not empty; every CloudEvent has {', '.join(_REQUIRED)}")
    if attributes["specversion"] != "1.0":
        raise invalid("unknown_version", f"{place}.specversion".strip("."), "found another specversion than 1.0, allowed 1.0; send the event in that version")
    members = _object(data)
    call = attributes.get("call") or "track"
    event_id = uuid.uuid5(NAMESPACE, f"{attributes['source']}\n{attributes['id']}")
    return message(
        "cloudevents", original, type=call, event=attributes["type"] if call == "track" else None, messageId=str(event_id),
        userId=attributes.get("userid") or _member(members, "userId"), anonymousId=attributes.get("anonymousid") or _member(members, "anonymousId"),
        previousId=attributes.get("previousid"), groupId=attributes.get("groupid"), timestamp=attributes.get("time"),
        **{"traits" if call in _CARRYING_TRAITS else "properties": members},
        context={name: value for name in ("source", "subject", "dataschema") if (value := attributes.get(name))},
    )  # fmt: skip


def _object(data: Any) -> dict[str, Any] | None:
    """Data as an object; what is none stands in one under its own name."""
    if data is None or isinstance(data, dict):
        return data
    if isinstance(data, bytes | Raw):
        text = bytes(data).strip()
        if text == b"null":
            return None
        return read(_attributes, data, "data") if text.startswith(b"{") else {"data": data}
    return {"data": data}


def _member(members: dict[str, Any] | None, name: str) -> str | None:
    value = (members or {}).get(name)
    return read(_string, value, f"data.{name}") if value is not None and bytes(value)[:1] == b'"' else None


_string = msgspec.json.Decoder(str)
