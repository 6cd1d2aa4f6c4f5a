"""The verdict of the tracking plan on a message: which fields violate which rules. The collector and the standardisation call the same ``Judge``.

A pure function of the message, its type and name, and the plan: whoever judges a record again under the same plan (``plan_hash``) finds the same. The collector
writes its verdict on the record (header ``plan``), and the speed layer takes it from there when it is of the plan in force.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
import msgspec

from millrace.events.json_values import levels
from millrace.tracking_plan.plan import EventPlan, TrackingPlan

HEADER = "plan"
"""Header of a record: the plan's hash, and behind it the violations as JSON when there are any."""
HASH_LENGTH = 16
MOST = 20
"""Violations of one message that are told; the first by field."""
DEEPEST = 64
"""Levels of a message that is judged: what the collector takes."""
VERSION = ("context", "protocols", "event_version")
"""Where a message says which version of its event it is (as Segment's clients do); without it the newest is meant."""

Violation = tuple[str, str]
"""Field and rule, such as (properties.revenue, type). Of names that the plan does not have ``*`` is said, of the message itself ``message``: no value, and no
name that a sender has chosen."""
_decode = msgspec.json.Decoder().decode
_violations = msgspec.json.Decoder(tuple[Violation, ...])


@dataclass(frozen=True)
class _Version:
    number: int
    validator: jsonschema_rs.Validator
    names: frozenset[str]


class Judge:
    """Judges messages under one plan."""

    def __init__(self, plan: TrackingPlan, plan_hash: str) -> None:
        self.plan_hash = plan_hash
        self._events: dict[tuple[str, str | None], dict[int, _Version]] = {}
        for one in plan:
            self._events.setdefault((one.type, one.event), {})[one.version] = _compiled(one)

    def violations(self, payload: bytes, kind: str | None, name: str | None) -> tuple[Violation, ...]:
        """What is wrong with a message of this type and name (``event`` of a track call); nothing for an event that the plan does not have."""
        versions = self._events.get((kind or "", name)) or self._events.get((kind or "", None))
        if versions is None:
            return ()
        message = _read(payload)
        if message is None:
            return (("message", "unreadable"),)
        stated = _stated(message)
        if stated is not None and stated not in versions:
            return ((".".join(VERSION), "unknown_version"),)
        version = versions[stated or max(versions)]
        if version.validator.is_valid(message):
            return ()
        found = {_told(error, version.names) for error in version.validator.iter_errors(message)}
        return tuple(sorted(found)[:MOST])

    def label(self, kind: str | None, name: str | None) -> str:
        """What the plan calls an event that it has: never a name that a sender has chosen."""
        return name if name is not None and (kind, name) in self._events else f"{kind} calls"

    def stamp(self, violations: tuple[Violation, ...]) -> bytes:
        """What goes into the header of a record."""
        return self.plan_hash.encode() + (msgspec.json.encode(violations) if violations else b"")

    def stamped(self, stamp: str) -> tuple[Violation, ...] | None:
        """The verdict of a header; None when it is of another plan or damaged."""
        if stamp[:HASH_LENGTH] != self.plan_hash:
            return None
        try:
            return _violations.decode(stamp[HASH_LENGTH:]) if len(stamp) > HASH_LENGTH else ()
        except (msgspec.DecodeError, UnicodeError):
            return None


def _read(payload: bytes) -> dict[str, Any] | None:
    """The message; None when a JSON reader with doubles and of bounded depth cannot read it. Decided before it is read: how deep a stack goes differs by caller."""
    try:
        found = _decode(payload) if levels(payload.decode(), beyond=DEEPEST) <= DEEPEST else None
    except (msgspec.DecodeError, UnicodeError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _stated(message: Mapping[str, Any]) -> int | None:
    """The version that a message names; 0, which no plan has, when it is not a number."""
    found: Any = message
    for key in VERSION:
        found = found.get(key) if isinstance(found, dict) else None
    if found is None:
        return None
    text = str(found) if isinstance(found, int | str) and not isinstance(found, bool) else ""
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 10 else 0


def _compiled(plan: EventPlan) -> _Version:
    return _Version(plan.version, plan.validator(), frozenset(_names(plan.rules)))


def _names(schema: Any) -> Iterator[str]:
    """Every name of a field that a schema knows."""
    if isinstance(schema, list):
        for inner in schema:
            yield from _names(inner)
    if isinstance(schema, Mapping):
        for keyword, inner in schema.items():
            if keyword == "properties" and isinstance(inner, Mapping):
                yield from inner
                yield from _names(list(inner.values()))
            elif keyword == "required" and isinstance(inner, list):
                yield from (name for name in inner if isinstance(name, str))
            else:
                yield from _names(inner)


def _told(error: jsonschema_rs.ValidationError, names: frozenset[str]) -> Violation:
    rule = str(error.kind.name)
    path = [*error.instance_path, *([error.kind.property] if rule == "required" else [])]
    return "".join(_step(part, names) for part in path).lstrip(".") or "message", rule


def _step(part: str | int, names: frozenset[str]) -> str:
    return "[]" if isinstance(part, int) else f".{part if part in names else '*'}"
