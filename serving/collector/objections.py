"""What becomes of a request whose browser asks not to be tracked (``DNT: 1`` or ``Sec-GPC: 1``): kept, kept without whom it was, or not kept (ADR 0023).

The endpoints call ``withheld`` on records that are sound, so that a wrong request is refused with or without an objection.
"""

import uuid
from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Raw

from serving.collector.intake import BATCH, Intake, Opened
from serving.collector.publishing import Record

Treatment = Literal["keep", "anonymous", "drop"]
OBJECTIONS = (b"dnt", b"sec-gpc")
_ABOUT_SOMEBODY = (b'"identify"', b'"alias"', b'"group"')
_OF_A_PERSON = ("userId", "previousId", "groupId", "traits", "original", "writeKey", "rudderId")
_ABOUT_NOBODY = frozenset({"app", "campaign", "library", "locale", "os", "page", "platform", "schema", "screen", "timezone", "userAgent"})
"""What stays of a context."""
_IDENTIFYING_PROPERTIES = frozenset(
    {"$anon_distinct_id", "$device_id", "$groups", "$insert_id", "$ip", "$session_id", "$set", "$set_once", "$user_id", "$window_id", "distinct_id"}
)
_members = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


def withheld(records: Sequence[Record], treatment: Treatment, intake: Intake) -> list[Record]:
    """What is left of the records. Without whom it was, page views and the like of one request belong to an identifier that nothing else will ever have; calls
    that only say who somebody is are not kept."""
    if treatment == "keep":
        return list(records)
    if treatment == "drop":
        return []
    nobody = Raw(_encode(f"not-tracked-{uuid.uuid4()}"))
    texts = [text for _, value in records if (text := _without_person(value, nobody)) is not None]
    return intake.records(BATCH, Opened(None, None, texts, None, False)) if texts else []


def _without_person(value: bytes, nobody: Raw) -> bytes | None:
    message = _members.decode(value)
    if bytes(message["type"]) in _ABOUT_SOMEBODY:
        return None
    for name in _OF_A_PERSON:
        message.pop(name, None)
    context, properties = _object(message.get("context")), _object(message.get("properties"))
    if properties:
        message["properties"] = Raw(_encode({name: value for name, value in properties.items() if name not in _IDENTIFYING_PROPERTIES}))
    kept = {name: value for name, value in context.items() if name in _ABOUT_NOBODY}
    return _encode({**message, "anonymousId": nobody, "context": {**kept, "doNotTrack": True}})


def _object(value: Raw | None) -> dict[str, Raw]:
    return _members.decode(value) if value is not None and bytes(value).startswith(b"{") else {}
