"""Which values are looked at: those that a trait reads and those that the tracking plan names, each where it is read or named. counting.py calls it.

A value that nobody reads may come and go; one that a trait or the plan knows is missed. Enriched values follow from the others; objects, lists and their entries
have no value of their own.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from millrace.definitions import Definitions
from millrace.events.messages import BODIES
from millrace.traits.lines import list_of

MOST_FIELDS = 300
_PLAIN = {"string", "number", "integer", "boolean"}


class Field(NamedTuple):
    """A value of the messages of a type and, where given, of one name. ``kind``: text or number, as it is read."""

    type: str | None
    name: str | None
    path: str
    kind: str

    @property
    def about(self) -> str:
        """What people call it: ``Order Completed: properties.revenue``."""
        whose = self.name or (f"{self.type} calls" if self.type else "any event")
        return f"{whose}: {self.path}"


def fields_of(definitions: Definitions) -> tuple[Field, ...]:
    """In one order; at most ``MOST_FIELDS``, those of traits first. The same value read as text and as number is looked at as a number."""
    of_traits = sorted({*_of_traits(definitions)}, key=_key)
    of_plan = sorted({*_of_plan(definitions)}, key=_key)
    found: dict[tuple[str, ...], Field] = {}
    for one in (*of_traits, *of_plan):
        place = (one.name, one.path) if one.name else ("", one.type or "", one.path)
        if place not in found or (one.kind == "number" and one in of_traits):
            found[place] = one
    return tuple(list(found.values())[:MOST_FIELDS])


def _key(one: Field) -> tuple[str, ...]:
    return tuple(part or "" for part in one)


def _of_traits(definitions: Definitions) -> Iterator[Field]:
    for states in definitions.states.values():
        for state in states:
            for path, kind in state.reads:
                if path.partition(".")[0] in BODIES and list_of(path) is None:
                    for name in state.events or (None,):
                        yield Field(state.type, name, path, "number" if kind == "number" else "string")


def _of_plan(definitions: Definitions) -> Iterator[Field]:
    for plan in definitions.tracking_plan:
        for body in BODIES:
            for path, rules in _named(plan.rules.get("properties", {}).get(body), body):
                kinds = rules.get("type", ()) if isinstance(rules, Mapping) else ()
                kinds = {kinds} if isinstance(kinds, str) else {*kinds}
                if not kinds or kinds & _PLAIN:
                    yield Field(plan.type, plan.event, path, "number" if kinds and kinds <= {"number", "integer", "null"} else "string")


def _named(rules: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Paths and rules of what a schema names within an object, its required keys too; keys with a dot in them have no path."""
    if not isinstance(rules, Mapping):
        return
    inner = rules.get("properties", {})
    for key in {*(inner if isinstance(inner, Mapping) else ()), *rules.get("required", ())}:
        if "." not in key:
            below = inner.get(key, {})
            yield f"{path}.{key}", below
            yield from _named(below, f"{path}.{key}")
