"""How the body of a plain webhook, or a row that is pulled, becomes a message: ``webhook`` and ``pull.events`` of a source in sources.yml.

The collector reads bodies with it, the batch layer rows.

A text that begins with / is a JSON pointer (RFC 6901) into the body, any other text stands for itself. ``{at: /total, as: number}`` also says what the value
is to become: text, number (from text such as "19.90"), seconds or milliseconds (since 1970, to a time).
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from millrace.times import milliseconds_text

_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")
_NUMBER = re.compile(r"-?\d{1,30}(?:\.\d{1,30})?", re.ASCII)
_NEEDED = {"track": ("event",), "group": ("group_id",), "alias": ("previous_id", "user_id")}
_Scalar = str | int | float | bool | None
FIELDS = {"message_id": "messageId", "user_id": "userId", "anonymous_id": "anonymousId", "previous_id": "previousId", "group_id": "groupId"}
"""Fields of a mapping that a message spells otherwise."""


class WrongValue(ValueError):
    """``found`` stands at the pointer ``at`` instead of what is declared for the field ``name``."""

    def __init__(self, name: str, at: str, found: str) -> None:
        super().__init__(f"{name}: found {found} at {at}")
        self.name, self.at, self.found = name, at, found


def _is_pointer(text: str) -> str:
    if not _POINTER.fullmatch(text):
        raise ValueError(f"found {text!r}; a JSON pointer is needed, such as /customer/id")
    return text


Pointer = Annotated[str, AfterValidator(_is_pointer)]


class Value(BaseModel):
    """A value of a message: at a pointer of the body, or a text that is always the same."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    at: Pointer | None = None
    text: str | None = None
    become: Literal["text", "number", "seconds", "milliseconds"] | None = Field(None, alias="as")

    @model_validator(mode="after")
    def _one(self) -> "Value":
        if (self.at is None) == (self.text is None):
            raise ValueError("one of `at` (a pointer) and `text` is needed")
        return self

    def value_in(self, element: Any, *, is_exact: bool = False) -> Any:
        """The value; None when it is absent. ValueError says what was found instead of what is declared. ``is_exact``: numbers of text as decimals, not doubles."""
        if self.text is not None:
            return self.text
        found = at_pointer(element, self.at or "")
        if found is None or self.become is None:
            return found
        if self.become == "text":
            return _as_text(found)
        number = _as_number(found, is_exact=is_exact)
        return number if self.become == "number" else number * (1000 if self.become == "seconds" else 1)


def _as_text(found: Any) -> str:
    if isinstance(found, bool):
        return "true" if found else "false"
    if not isinstance(found, str | int | float | Decimal):
        raise ValueError("an object or an array")
    return str(found)


def _as_number(found: Any, *, is_exact: bool) -> int | float | Decimal:
    if isinstance(found, int | float | Decimal) and not isinstance(found, bool):
        return found
    if not isinstance(found, str) or not _NUMBER.fullmatch(found.strip()):
        raise ValueError("something that is no number")
    return (Decimal(found.strip()) if is_exact else float(found)) if "." in found else int(found)


def _spelled(value: Any) -> Any:
    """A short form as the long one."""
    return value if not isinstance(value, str) else {"at": value} if value.startswith("/") else {"text": value}


Given = Annotated[Value, BeforeValidator(_spelled)]


class Webhook(BaseModel):
    """One source's mapping. ``each``: pointer to an array of events, absent when the body is one. Without ``properties`` and ``traits`` the whole body is
    the properties (of identify and group: the traits)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["track", "identify", "page", "screen", "group", "alias"] = "track"
    each: Pointer | None = None
    event: Given | None = None
    name: Given | None = None
    message_id: Given | None = None
    user_id: Given | None = None
    anonymous_id: Given | None = None
    previous_id: Given | None = None
    group_id: Given | None = None
    timestamp: Given | None = None
    properties: dict[str, Given] | None = None
    traits: dict[str, Given] | None = None

    @model_validator(mode="after")
    def _complete(self) -> "Webhook":
        needed = [name for name in _NEEDED.get(self.type, ()) if getattr(self, name) is None]
        if needed:
            raise ValueError(f"a webhook of type {self.type} needs {' and '.join(needed)}, such as `{needed[0]}: /path/in/the/body`")
        if self.user_id is None and self.anonymous_id is None:
            raise ValueError("user_id or anonymous_id is needed: a message belongs to somebody")
        return self

    def fields_in(self, element: Any) -> dict[str, Any]:
        """The fields of the message, without those that are absent. WrongValue when one is not what is declared."""
        fields: dict[str, Any] = {"type": self.type}
        for name, spelled in {**FIELDS, "event": "event", "name": "name"}.items():
            if (found := _found(name, getattr(self, name), element)) is not None:
                fields[spelled] = found if isinstance(found, str) else msgspec.json.encode(found).decode()
        if (moment := _found("timestamp", self.timestamp, element)) is not None:
            fields["timestamp"] = moment if isinstance(moment, str) else milliseconds_text(moment)
        for body in ("properties", "traits"):
            if (declared := getattr(self, body)) is not None:
                fields[body] = mapped(declared, element, within=f"{body}.")
        if self.properties is None and self.traits is None:
            fields["traits" if self.type in ("identify", "group") else "properties"] = element if isinstance(element, dict) else {"body": element}
        return fields


def mapped(declared: Mapping[str, Value], element: Any, *, within: str = "", is_exact: bool = False) -> dict[str, Any]:
    """The values that are declared, by name, without those that are absent. WrongValue when one is not what is declared; ``within`` stands before its name."""
    found = ((name, _found(f"{within}{name}", given, element, is_exact=is_exact)) for name, given in declared.items())
    return {name: value for name, value in found if value is not None}


def _found(name: str, given: Value | None, element: Any, *, is_exact: bool = False) -> Any:
    try:
        return None if given is None else given.value_in(element, is_exact=is_exact)
    except ValueError as error:
        raise WrongValue(name, (given and given.at) or "", str(error)) from None


def pointer_steps(pointer: str) -> list[str]:
    """The keys of a JSON pointer, as they are written in the content."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def at_pointer(content: Any, pointer: str) -> Any:
    """The value at a JSON pointer; None when there is none."""
    for key in pointer_steps(pointer):
        if isinstance(content, dict):
            content = content.get(key)
        elif isinstance(content, list) and re.fullmatch(r"0|[1-9]\d{0,8}", key, re.ASCII) and int(key) < len(content):
            content = content[int(key)]
        else:
            return None
    return content
