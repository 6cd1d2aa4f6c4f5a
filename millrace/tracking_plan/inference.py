"""A proposal for a tracking plan, from messages that were accepted: what their fields were, which of them were always there. jobs/infer_plan.py writes it.

A proposal says what was, not what should be: somebody reads it before it is kept. It holds names of fields and types, no values of anybody.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

FEWEST = 20
"""Messages of an event below which nothing is called required."""
MOST_FIELDS = 200
"""Different names in an object from which on they are taken for values (ids as keys) and not listed."""
BODIES = {"identify": "traits", "group": "traits"}
"""Where a message says what it is about; otherwise in its properties."""
_NUMBERS = {"integer", "number"}


@dataclass
class Seen:
    """What was at one place: how often, of which types, and what was inside."""

    count: int = 0
    types: Counter[str] = field(default_factory=Counter)
    fields: "dict[str, Seen]" = field(default_factory=dict)
    items: "Seen | None" = None

    def add(self, value: Any) -> None:
        self.count += 1
        self.types[_type_of(value)] += 1
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in self.fields or len(self.fields) <= MOST_FIELDS:
                    self.fields.setdefault(name, Seen()).add(inner)
        elif isinstance(value, list):
            self.items = self.items or Seen()
            for inner in value:
                self.items.add(inner)

    def schema(self) -> dict[str, Any]:
        types = set(self.types)
        types -= {"integer"} if types >= _NUMBERS else set()
        found: dict[str, Any] = {"type": types.pop() if len(types) == 1 else sorted(types)} if types else {}
        objects = self.types["object"]
        if self.fields and len(self.fields) <= MOST_FIELDS:
            found["properties"] = {name: inner.schema() for name, inner in sorted(self.fields.items())}
            required = [name for name, inner in sorted(self.fields.items()) if inner.count == objects and "null" not in inner.types]
            if required and objects >= FEWEST:
                found["required"] = required
        if self.items is not None:
            found["items"] = self.items.schema()
        return found


def readable(payloads: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The messages that a plan could judge: those with numbers that no double holds are left out."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for payload in payloads:
        try:
            yield decode(payload)
        except (msgspec.DecodeError, RecursionError):
            continue


def file_names(plans: Iterable[tuple[str, str | None]]) -> list[str]:
    """A name for each, such as ``order_completed.1.json``; those that would be the same are numbered."""
    slugs = [re.sub(r"[^a-z0-9]+", "_", (event or kind).lower()).strip("_") or "event" for kind, event in plans]
    return [f"{slug}{'' if (before := slugs[:number].count(slug)) == 0 else f'_{before + 1}'}.1.json" for number, slug in enumerate(slugs)]


def proposed(messages: Iterable[dict[str, Any]]) -> dict[tuple[str, str | None], dict[str, Any]]:
    """A plan, as a file holds it, for each event and each other type of call among the messages."""
    seen: dict[tuple[str, str | None], Seen] = {}
    for message in messages:
        kind = message["type"]
        key = (kind, message.get("event") if kind == "track" else None)
        body = BODIES.get(kind, "properties")
        seen.setdefault(key, Seen()).add({body: message[body]} if message.get(body) is not None else {})
    return {key: _plan(*key, found) for key, found in sorted(seen.items(), key=lambda item: (item[0][0], str(item[0][1])))}


def _plan(kind: str, event: str | None, seen: Seen) -> dict[str, Any]:
    named: dict[str, Any] = {"event": event} if event is not None else {"type": kind}
    return {**named, "version": 1, "description": f"proposed from {seen.count} messages", "rules": seen.schema()}


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    names = {int: "integer", float: "number", str: "string", dict: "object", list: "array", type(None): "null"}
    return names[type(value)]
