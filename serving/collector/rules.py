"""What a decoded message must hold, and the sentence for what it does not. intake.py calls ``check_message`` for every message.

Shape only: whether a timestamp means anything is decided in the speed layer, which keeps what it refuses.
"""

import json
import re

import msgspec
from msgspec import UNSET

from millrace.events.json_values import LONGEST, parse_object
from millrace.events.message_bounds import has_long_number
from millrace.identity.nodes import WHITESPACE
from serving.collector.messages import CALLS, Message
from serving.collector.refusals import MAX_DEPTH, MAX_ID_LENGTH, Refusal, invalid

IDENTIFYING_KEYS = ("messageId", "userId", "anonymousId")

WORDS = {"str": "text", "int": "a number", "float": "a number", "bool": "true or false", "object": "an object", "array": "an array", "null": "null"}

_QUOTED_KEYS = tuple(f'"{key}"'.encode() for key in IDENTIFYING_KEYS)
_MISMATCH = re.compile(r"Expected `([^`]+)`, got `([^`]+)`(?: - at `\$\.?([^`]*)`)?")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL)


def _filled(value: str | None) -> str | None:
    """Something true when the text holds more than space."""
    return value and value.strip(WHITESPACE)


def check_message(message: Message) -> None:
    """Refuses a message without the identifiers and the name its type needs."""
    call = message.type
    if call not in CALLS:
        found = "no type" if call is UNSET else "a type that is none of them"
        raise invalid("unknown_type", "type", f"found {found}, allowed {', '.join(CALLS)}; set one of them")
    if message.message_id is not UNSET and not _filled(message.message_id):
        raise invalid("missing_message_id", "messageId", "found an empty messageId, allowed a text of its own for each message; fill it or leave it out")
    if call == "alias":
        _check_alias(message)
    elif not (_filled(message.user_id) or _filled(message.anonymous_id)):
        raise invalid("missing_identifier", "userId", "found neither userId nor anonymousId, allowed texts that are not empty; send at least one of them")
    elif call == "track":
        if not _filled(message.event):
            raise invalid("missing_event_name", "event", "found a track call without event, allowed a text that is not empty; name what happened")
    elif call == "group" and not _filled(message.group_id):
        raise invalid("missing_identifier", "groupId", "found a group call without groupId, allowed a text that is not empty; name the group")


def _check_alias(message: Message) -> None:
    for name, value in (("previousId", message.previous_id), ("userId", message.user_id)):
        if not _filled(value):
            raise invalid("missing_identifier", name, f"found an alias call without {name}, allowed texts that are not empty; send previousId and userId")


def check_lengths(message: Message) -> None:
    """Refuses identifiers that the log would reject. Only a text longer than the limit can hold one."""
    named = {"messageId": message.message_id, "userId": message.user_id, "anonymousId": message.anonymous_id, "previousId": message.previous_id}
    for name, value in named.items():
        if isinstance(value, str) and len(value) > MAX_ID_LENGTH:
            raise invalid("identifier_too_long", name, f"found {len(value)} characters, allowed {MAX_ID_LENGTH}; send a shorter identifier")


def check_numbers(text: bytes) -> None:
    """Refuses numbers that readers of the log refuse. Only a text longer than the limit can hold one."""
    if has_long_number(text) and parse_object(text.decode()) is None:
        raise invalid("number_too_long", "body", f"found a number of more than {LONGEST} digits, allowed {LONGEST}; send it as text")


def nobody() -> Refusal:
    """For identifiers of which nothing is left in the one spelling they are compared in."""
    return invalid("missing_identifier", "userId", "found identifiers of white space or invisible characters alone, allowed one that somebody could read; send another")


def mismatch(error: msgspec.ValidationError) -> Refusal:
    """The refusal for a field of the wrong type, from what msgspec says of it."""
    if missing := _MISSING.match(str(error)):
        return invalid("missing_field", missing[1], f"found no {missing[1]}, allowed an array of messages; send them under that name")
    found = _MISMATCH.match(str(error))
    if found is None:
        return invalid("wrong_type", "body", "found a value of the wrong type, allowed what the Segment spec says of it; change its type")
    allowed = " or ".join(WORDS.get(name, name) for name in found[1].split(" | "))
    return invalid("wrong_type", found[3] or "body", f"found {WORDS.get(found[2], found[2])}, allowed {allowed}; change its type or leave it out")


def check_depth(text: bytes) -> None:
    """Refuses nesting that readers of the log would fail on. Counting brackets settles nearly every text without looking at its structure."""
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return
    depth = 0
    for token in _STRING_OR_BRACKET.findall(text):
        depth += (token in (b"{", b"[")) - (token in (b"}", b"]"))
        if depth > MAX_DEPTH:
            raise too_deep()


def too_deep() -> Refusal:
    return invalid("too_deep", "body", f"found more than {MAX_DEPTH} levels of objects and arrays, allowed {MAX_DEPTH}; flatten the message")


def may_repeat_keys(body: bytes, messages: int) -> bool:
    """True when an identifying key stands in the body more often than there are messages: then each message is worth ``check_keys``."""
    return any(body.count(key) > messages for key in _QUOTED_KEYS)


def check_keys(text: bytes) -> None:
    """Refuses a message that names one of its identifiers twice: two readers of the log could see two different people in it."""
    keys = _outer_keys(text)
    for name in IDENTIFYING_KEYS:
        if keys.count(name) > 1:
            raise invalid("repeated_key", name, f"found {name} more than once in one message, allowed once; keep the right one")


def _outer_keys(text: bytes) -> list[str]:
    keys: list[str] = []

    def remember(pairs: list[tuple[str, object]]) -> None:
        keys[:] = [key for key, _ in pairs]  # called for inner objects first, for the outermost last

    json.loads(text, object_pairs_hook=remember, parse_int=float)
    return keys
