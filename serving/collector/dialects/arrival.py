"""What a dialect is given and what it returns, and the way from one to the other that all of them share. The modules of the dialects import it.

A dialect is a pure function from an ``Arrival`` to a ``Translation``. A message it returns holds, beside the fields of the Segment spec, ``original``: the name
of the dialect and the event as its client sent it, so that the log keeps the whole of both.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Raw

from millrace.events.sources import Source
from serving.collector.body import declared_encoding, inflate
from serving.collector.intake import decoded
from serving.collector.refusals import Refusal, invalid, too_large
from serving.collector.rules import check_depth

Shape = TypeVar("Shape")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_encode = msgspec.json.Encoder().encode


class Limits(NamedTuple):
    """Of a request and of an event in it, as the client sent them."""

    request_bytes: int
    event_bytes: int
    batch_events: int


class Arrival(NamedTuple):
    """A request. ``body`` is as sent and no longer than the limit, ``query`` undecoded, header names in lower case; ``received_at`` is the collector's clock."""

    method: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    limits: Limits
    received_at: datetime
    visitor: str
    """Identifier of the browser, from its cookie or a new one; to be used when the client names nobody."""
    source: Source | None = None
    """What is declared about the source, when the key came with the request and not in its body."""


class Event(NamedTuple):
    """One message, and where it stands in the request (``data[3]``; empty for the whole body)."""

    place: str
    text: bytes


class Translation(NamedTuple):
    """``write_keys``: the keys found in the body, each of which must be right; none of them when the request itself brings one. ``names``: what the client calls
    the fields of a message. ``visited``: whether a message goes by the identifier of the browser."""

    events: list[Event]
    write_keys: frozenset[str] = frozenset()
    names: Mapping[str, str] = {}
    visited: bool = False


Translate = Callable[[Arrival], Translation]


def content_of(arrival: Arrival) -> bytes:
    """The body behind its Content-Encoding, in UTF-8 throughout."""
    return utf8(inflate(arrival.body, declared_encoding(arrival.headers), limit=arrival.limits.request_bytes))


def utf8(body: bytes) -> bytes:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise invalid("invalid_utf8", "body", f"found a byte that is not UTF-8 at position {error.start}, allowed UTF-8 throughout; encode the body as UTF-8") from None
    return body


def read(decoder: "msgspec.json.Decoder[Shape]", text: bytes | Raw, place: str = "") -> Shape:
    """The value of a text, which stands at ``place`` of the request."""
    try:
        return decoded(decoder, text)
    except Refusal as refusal:
        raise (refusal.within(place) if place else refusal) from None


def each(texts: list[Raw], name: str, limits: Limits) -> list[tuple[str, bytes]]:
    """Place and text of each event of a batch of the client's, none larger than allowed."""
    if not 0 < len(texts) <= limits.batch_events:
        refuse = too_large if texts else invalid
        raise refuse("wrong_batch_size", name or "body", f"found {len(texts)} events, allowed 1 to {limits.batch_events}; send batches of that size")
    found = [(f"{name}[{number}]", bytes(text)) for number, text in enumerate(texts)]
    for place, text in found:
        check_size(text, place, limits)
    return found


def check_size(text: bytes, place: str, limits: Limits) -> None:
    if len(text) > limits.event_bytes:
        raise too_large("event_too_large", place or "body", f"found an event of {len(text)} bytes, allowed {limits.event_bytes}; send less in one event")
    try:
        check_depth(text)
    except Refusal as refusal:
        raise (refusal.within(place) if place else refusal) from None


def message(dialect: str, original: Any, **fields: Any) -> bytes:
    """The text of a message: its fields without those that are absent, and the original, which is raw JSON or text."""
    return _encode({**{name: value for name, value in fields.items() if value is not None}, "original": {"dialect": dialect, "event": original}})


def without_absent(**fields: Any) -> dict[str, Any] | None:
    """A mapping of those that are there; None when none is."""
    return {name: value for name, value in fields.items() if value is not None} or None
