"""From the body of a request to the records of Kafka: decodes, checks every message and splices in what a message lacks. app.py calls it.

A record's value is the client's own text of the message. Missing ``type`` (single calls) and ``messageId``, and the ``sentAt`` and ``context`` of the
batch, go in at the front of the object; nothing is encoded again. A request with one wrong message is refused whole.
"""

import contextlib
import uuid
from functools import lru_cache
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, Raw, UnsetType

from millrace.identity.nodes import node_of, owner_node
from millrace.settings import CollectorSettings
from serving.collector.messages import Batch, Context, Message, Traits
from serving.collector.publishing import Record
from serving.collector.refusals import MAX_ID_LENGTH, MAX_SHARED_BYTES, Refusal, invalid, too_large
from serving.collector.rules import check_depth, check_keys, check_lengths, check_message, check_numbers, may_repeat_keys, mismatch, nobody, too_deep

Shape = TypeVar("Shape")

BATCH = "batch"
REMEMBERED_OWNERS = 50_000

_batches = msgspec.json.Decoder(Batch)
_messages = msgspec.json.Decoder(Message)
_traits = msgspec.json.Decoder(Traits)
_sent_at = msgspec.json.Decoder(str | None)
_context = msgspec.json.Decoder(Context | None)


class Opened(NamedTuple):
    """A request whose JSON is well formed and whose messages are not checked yet; its ``write_key`` can be."""

    write_key: str | None
    message: Message | None
    """The message of a single call; None for a batch."""
    texts: list[Raw] | list[bytes]
    shared: tuple[bytes, bytes] | None
    """``"sentAt":…`` and ``"context":…`` of the batch, empty where it has none; None when it has neither."""
    may_repeat_keys: bool


def open_request(call: str, body: bytes, limits: CollectorSettings) -> Opened:
    """Decodes the outside of a request: ``call`` is the last part of its path, ``batch`` or one of the calls."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise invalid("invalid_utf8", "body", f"found a byte that is not UTF-8 at position {error.start}, allowed UTF-8 throughout; encode the body as UTF-8") from None
    if call != BATCH:
        text = body.strip(b" \t\r\n")
        message = decoded(_messages, text)
        return Opened(message.write_key, _typed(message, call), [text], None, may_repeat_keys(body, 1))
    batch = decoded(_batches, body)
    if not 0 < len(batch.batch) <= limits.max_batch_events:
        refuse = too_large if batch.batch else invalid
        raise refuse("wrong_batch_size", BATCH, f"found {len(batch.batch)} messages, allowed 1 to {limits.max_batch_events}; send batches of that size")
    return Opened(batch.write_key, None, batch.batch, _shared(batch, limits.max_event_bytes), may_repeat_keys(body, len(batch.batch)))


def decoded(decoder: "msgspec.json.Decoder[Shape]", text: bytes | Raw) -> Shape:
    """The value of a text; Refusal when it is not JSON or not of that shape."""
    try:
        return decoder.decode(text)
    except msgspec.ValidationError as error:
        raise mismatch(error) from None
    except RecursionError:
        raise too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid("malformed_json", "body", f"found malformed JSON ({error}), allowed one JSON object; encode it with a JSON library") from None


def _typed(message: Message, call: str) -> Message:
    """The message of a single call; its type may be missing, because the path says it, but must not contradict the path."""
    if message.type is not UNSET and message.type != call:
        raise invalid("wrong_type", "type", f"found another type than the path says, allowed {call}; leave type out or post to the path of its type")
    return message


def _shared(batch: Batch, max_bytes: int) -> tuple[bytes, bytes] | None:
    sent_at, context = _shared_text("sentAt", batch.sent_at, _sent_at), _shared_text("context", batch.context, _context)
    if len(context) > max_bytes or len(context) * len(batch.batch) > MAX_SHARED_BYTES:
        raise too_large("context_too_large", "context", f"found {len(context)} bytes for {len(batch.batch)} messages, allowed {max_bytes} bytes and {MAX_SHARED_BYTES} over all messages; send less context or smaller batches")
    check_depth(context)
    return (sent_at, context) if sent_at or context else None


def _shared_text(name: str, text: Raw | UnsetType, decoder: msgspec.json.Decoder) -> bytes:
    if text is UNSET:
        return b""
    try:
        value = decoded(decoder, text)
    except Refusal as refusal:
        raise refusal.within(name) from None
    return b"" if value is None else f'"{name}":'.encode() + bytes(text)


class Intake:
    """Turns opened requests into records under one tenant's token key. Remembers the keys of recent senders: one person's events come close together."""

    def __init__(self, secret: bytes, limits: CollectorSettings) -> None:
        self._max_bytes = limits.max_event_bytes

        @lru_cache(REMEMBERED_OWNERS)
        def node_of_user(user_id: str) -> str | None:
            return node_of("user_id", user_id, secret)

        @lru_cache(REMEMBERED_OWNERS)
        def node_of_other(call: str, anonymous_id: str | None, email: str | None, phone: str | None) -> str | None:
            return owner_node(type=call, user_id=None, anonymous_id=anonymous_id, email=email, phone=phone, secret=secret)

        self._node_of_user, self._node_of_other = node_of_user, node_of_other

    def records(self, call: str, opened: Opened) -> list[Record]:
        """Key and value of every message, in order; Refusal when one of them is not sound."""
        records: list[Record] = []
        max_bytes = self._max_bytes
        given, shared, may_repeat = opened.message, opened.shared, opened.may_repeat_keys
        try:
            for raw in opened.texts:
                text = bytes(raw)
                if len(text) > max_bytes:
                    raise too_large("event_too_large", "body", f"found a message of {len(text)} bytes, allowed {max_bytes}; send less in one message")
                check_depth(text)
                message = given or decoded(_messages, text)
                if may_repeat:
                    check_keys(text)
                if len(text) > MAX_ID_LENGTH:
                    check_lengths(message)
                    check_numbers(text)
                front = b""
                if message.type is UNSET and call != BATCH:
                    message.type = call
                    front = b'"type":"%s",' % call.encode()
                check_message(message)
                is_bare = message.original_timestamp is not None or (message.traits is UNSET and message.type == "identify")
                if shared or is_bare or message.message_id is UNSET:
                    front += _front(message, shared)
                node = (message.user_id and self._node_of_user(message.user_id)) or self._node_of_other(message.type, message.anonymous_id, *_contact(message))
                if node is None and not (message.type == "alias" and message.previous_id and self._node_of_user(message.previous_id)):
                    raise nobody()
                records.append((node or "", b"{" + front + text[1:] if front else text))
        except Refusal as refusal:
            raise (refusal.within(f"batch[{len(records)}]") if call == BATCH else refusal) from None
        return records


def _front(message: Message, shared: tuple[bytes, bytes] | None) -> bytes:
    """Members that go before the message's own: an id when it has none, what its batch says for all, and what RudderStack's clients say elsewhere: the time
    as ``originalTimestamp``, the traits of an identify call in its context."""
    front = b'"messageId":"%s",' % str(uuid.uuid4()).encode() if message.message_id is UNSET else b""
    sent_at, context = shared or (b"", b"")
    if sent_at and message.sent_at is UNSET:
        front += sent_at + b","
    if context and message.context is UNSET:
        front += context + b","
    if message.timestamp is UNSET and message.original_timestamp is not None:
        front += b'"timestamp":%s,' % msgspec.json.encode(message.original_timestamp)
    if message.traits is UNSET and message.type == "identify" and message.context and _is_object(message.context.traits):
        front += b'"traits":%s,' % bytes(message.context.traits)
    return front


def _is_object(text: Raw | UnsetType) -> bool:
    return text is not UNSET and bytes(text).startswith(b"{")


def _contact(message: Message) -> tuple[str | None, str | None]:
    """E-mail and phone of a message: from the traits of an identify call, else from the traits in its context."""
    found = [message.traits] if message.type == "identify" and message.traits else []
    if message.context and message.context.traits is not UNSET:
        with contextlib.suppress(msgspec.ValidationError):  # traits that are no object identify nobody
            found.append(_traits.decode(message.context.traits))
    emails = [text for traits in found if (text := _identifying_text(traits.email))]
    phones = [text for traits in found if (text := _identifying_text(traits.phone))]
    return next(iter(emails), None), next(iter(phones), None)


def _identifying_text(value: object) -> str | None:
    """A phone number is often sent as a number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else None
