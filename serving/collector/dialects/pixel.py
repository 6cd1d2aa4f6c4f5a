"""Segment's pixel: ``GET /v1/pixel/track?data=…`` (and the other calls), one message as base64 of its JSON, for pages and mails that can only load an image."""

import base64
import binascii
from urllib.parse import parse_qs

import msgspec
from msgspec import Raw

from serving.collector.dialects.arrival import Arrival, Event, Translate, Translation, check_size, read, utf8
from serving.collector.refusals import invalid

_members = msgspec.json.Decoder(dict[str, Raw])
_text = msgspec.json.Decoder(str | None)
_ABSENT = Raw(b"null")


def of_call(call: str) -> Translate:
    """The dialect of one path. The message is the client's own: nothing but its type, and the browser's identifier when it names nobody, is added."""

    def translate(arrival: Arrival) -> Translation:
        message = read(_members, _data(arrival), "data")
        message.setdefault("type", Raw(msgspec.json.encode(call)))
        if read(_text, message["type"], "data.type") != call:
            raise invalid("wrong_type", "data.type", f"found another type than the path says, allowed {call}; leave type out or ask for the pixel of its type")
        key = read(_text, message.get("writeKey", _ABSENT), "data.writeKey")
        is_named = any(bytes(message.get(name, _ABSENT)) not in (b"null", b'""') for name in ("userId", "anonymousId"))
        if not is_named:
            message["anonymousId"] = Raw(msgspec.json.encode(arrival.visitor))
        return Translation([Event("data", msgspec.json.encode(message))], frozenset(() if key is None else (key,)), visited=not is_named)

    return translate


def _data(arrival: Arrival) -> bytes:
    found = parse_qs(arrival.query).get("data", [""])[0].replace(" ", "+").rstrip("=")
    try:
        text = base64.urlsafe_b64decode(found.replace("+", "-").replace("/", "_").encode("ascii") + b"=" * (-len(found) % 4))
    except (UnicodeError, binascii.Error, ValueError):
        raise invalid("malformed_base64", "data", "found data that is not base64, allowed base64 of one JSON object; encode the message so") from None
    check_size(utf8(text), "data", arrival.limits)
    return text
