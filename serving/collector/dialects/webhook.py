"""A plain webhook (``POST /v1/webhook``): any JSON, or a form, that sources.yml says how to read. The write key of the source finds its mapping.

Without a declared message id, the id follows from the sender's ``webhook-id`` header or else from the bytes of the body: senders repeat both when they retry.
"""

import hashlib
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from millrace.events.webhooks import FIELDS, Webhook, WrongValue, at_pointer
from serving.collector.dialects.arrival import Arrival, Event, Translation, check_size, content_of, message, read
from serving.collector.refusals import invalid, too_large

_any = msgspec.json.Decoder(Any)
_FORM = "application/x-www-form-urlencoded"


def translate(arrival: Arrival) -> Translation:
    mapping = arrival.source.webhook if arrival.source else None
    if mapping is None:
        raise invalid("no_webhook", "writeKey", "found a write key whose source declares no webhook, allowed one with `webhook` in sources.yml, sent with the request (basic auth, ?writeKey= or in the path); declare how its bodies become events")
    body = content_of(arrival)
    content = _content(arrival, body)
    delivery = arrival.headers.get("webhook-id") or hashlib.sha256(body).hexdigest()
    elements = _elements(content, mapping, arrival.limits.batch_events)
    events = []
    for number, element in enumerate(elements):
        place = f"{mapping.each.lstrip('/').replace('/', '.')}[{number}]".lstrip(".") if mapping.each is not None else ""
        check_size(msgspec.json.encode(element), place, arrival.limits)
        fallback = delivery if mapping.each is None else f"{delivery}-{number}"
        events.append(Event(place, _message(element, mapping, fallback, place)))
    return Translation(events, names={name: _pointer(mapping, field) for field, name in FIELDS.items()} | {"event": _pointer(mapping, "event")})


def _content(arrival: Arrival, body: bytes) -> Any:
    if arrival.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM:
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    return read(_any, body)


def _elements(content: Any, mapping: Webhook, most: int) -> list[Any]:
    if mapping.each is None:
        return [content]
    found = at_pointer(content, mapping.each)
    if not isinstance(found, list):
        raise invalid("missing_field", mapping.each or "body", "found no array where sources.yml says the events are, allowed an array; send it or correct `each`")
    if not 0 < len(found) <= most:
        raise (too_large if found else invalid)("wrong_batch_size", mapping.each or "body", f"found {len(found)} events, allowed 1 to {most}; send requests of that size")
    return found


def _message(element: Any, mapping: Webhook, fallback: str, place: str) -> bytes:
    try:
        fields = mapping.fields_in(element)
    except WrongValue as wrong:
        raise invalid("wrong_type", f"{place}{wrong.at}", f"found {wrong.found}, allowed what sources.yml declares for {wrong.name}; send that or correct the mapping") from None
    return message("webhook", element, **{"messageId": fallback, **fields})


def _pointer(mapping: Webhook, field: str) -> str:
    given = getattr(mapping, field)
    return given.at.lstrip("/").replace("/", ".") if given is not None and given.at else field
