"""The shape of what clients send: the Segment calls and the batch around them, as msgspec structs. intake.py decodes into them.

Objects whose content the collector does not read are structs without fields: msgspec then checks that they are objects and skips over the rest.
A field that stands for a type check only (``timestamp``) is text here and gets its meaning in the speed layer.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

CALLS = ("identify", "track", "page", "screen", "group", "alias")


class AnyObject(msgspec.Struct, gc=False):
    """A JSON object, whatever is in it."""


class Traits(msgspec.Struct, gc=False):
    """Where e-mail and phone stand; values that are not text carry no identifier."""

    email: Any = None
    phone: Any = None


class Context(msgspec.Struct, gc=False):
    """``traits`` is read only when the message has no user id, so it stays text until then."""

    traits: Raw | UnsetType = UNSET


class Message(msgspec.Struct, rename="camel", gc=False):
    """One call. UNSET where a missing field is filled in at the front of the text; null there would be a second key of the same name."""

    type: str | UnsetType = UNSET
    message_id: str | UnsetType = UNSET
    user_id: str | None = None
    anonymous_id: str | None = None
    previous_id: str | None = None
    group_id: str | None = None
    event: str | None = None
    name: str | None = None
    timestamp: str | UnsetType | None = UNSET
    original_timestamp: str | None = None
    sent_at: str | UnsetType | None = UNSET
    properties: AnyObject | None = None
    traits: Traits | UnsetType | None = UNSET
    context: Context | UnsetType | None = UNSET
    integrations: AnyObject | None = None
    write_key: str | None = None


class Batch(msgspec.Struct, rename="camel", gc=False):
    """Many calls. The texts of ``sent_at`` and ``context`` go into the messages that have none."""

    batch: list[Raw]
    sent_at: Raw | UnsetType = UNSET
    context: Raw | UnsetType = UNSET
    write_key: str | None = None

