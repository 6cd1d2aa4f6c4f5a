"""States: what is stored per key and tile to answer traits, and their names. traits.py declares them; fold.py, the tables and every reader use them.

States that mean the same have one name in every version of the definitions; no two states share one, for they are columns of a table.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

from millrace.enrichment.paths import families_of
from millrace.traits.algebra import KINDS, VALUE_TYPES
from millrace.traits.filters import Condition

MessageType = Literal["track", "identify", "page", "screen", "group", "alias"]
PLAIN_TYPES = {"event_time": "time", "received_at": "time", "name": "string", "type": "string", "source": "string"}
"""Values that every event has, by their type; the others are paths into the message."""
_WORDS = {"text", "as_number", *get_args(MessageType), *PLAIN_TYPES}
_SUFFIX = re.compile(r"^(where|rules)_[0-9a-f]{10}$|^zone_")
_USUAL_TYPE = {"min": "number", "max": "number", "first": "string", "last": "string", "counts": "string"}
"""Kinds of which a state's name tells the type of its values when it is another."""


@dataclass(frozen=True, order=True)
class State:
    """What is kept per key and tile: one column of a view. ``events`` empty means every event; ``value`` None where none is read. ``where``: conditions that
    events meet. ``zone``: whose days it speaks of, empty for none. ``rules``: digest of those under which its enriched values are computed, empty where it reads none."""

    name: str
    kind: str
    value: str | None
    value_type: str
    events: tuple[str, ...]
    type: str | None
    where: tuple[Condition, ...] = ()
    zone: str = ""
    rules: str = ""

    @property
    def delta_type(self) -> str:
        return KINDS[self.kind].type.format(value=VALUE_TYPES[self.value_type])

    @property
    def reads(self) -> tuple[tuple[str, str], ...]:
        """(path, type) of every value it reads of an event."""
        return (*(((self.value, self.value_type),) if self.value else ()), *(read for condition in self.where for read in condition.reads))


class Reads(Protocol):
    """What reads values of events: a state, the key of a view."""

    @property
    def reads(self) -> tuple[tuple[str, str], ...]: ...


Hops = Mapping[State, frozenset[int]]
"""States with the hops they are kept for."""


def state_of(
    kind: str, value: str | None, value_type: str, *, events: Iterable[str] = (), type: str | None = None, where: Iterable[Condition] = (), zone: str = "",
    rules: Mapping[str, str] | None = None,
) -> State:  # fmt: skip
    """The one state of this meaning. ``rules``: digests by family of enriched values."""
    events, where = tuple(sorted(set(events))), tuple(sorted(set(where)))
    plain = State("", kind, value, value_type, events, type, where, zone)
    families = families_of(path for path, _ in plain.reads)
    digest = _digest(json.dumps([[family, (rules or {}).get(family, "")] for family in families]), 10) if families else ""
    return replace(plain, name=_state_name(plain, digest), rules=digest)


def _event_slug(event: str) -> str:
    """Lower-case name of an event. Any spelling but the usual ``Title Case`` gets a short hash, as does what reads like another part of a state's name."""
    slug = re.sub(r"[^a-z0-9]+", "_", event.lower()).strip("_")
    reads_otherwise = slug in _WORDS or slug.split("_")[0] in ("properties", "traits", "context") or _SUFFIX.match(slug)
    return slug if event == slug.replace("_", " ").title() and not reads_otherwise else _hashed(slug, event)


def _path_slug(path: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", path.lower()).strip("_")
    return slug if path in (slug, slug.replace("_", ".", 1)) else _hashed(slug, path)


def _hashed(slug: str, text: str) -> str:
    return f"{slug}_{_digest(text)}"


def _digest(text: str, digits: int = 6) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def _state_name(state: State, rules: str) -> str:
    """Name of a state's column, such as ``sum_properties_revenue__order_completed``: no two states share one. ``__`` parts value, events, filter, zone and rules."""
    kind, value, value_type = state.kind, state.value, state.value_type
    parts = [f"{kind}_{_path_slug(value)}"] if value else []
    if value and kind in _USUAL_TYPE and value not in PLAIN_TYPES:
        parts += [] if value_type == _USUAL_TYPE[kind] else ["text" if value_type == "string" else "as_number"]
    parts += [state.type] if state.type else []
    parts += [_event_slug(event) for event in state.events]
    if state.where:
        parts.append(f"where_{_digest(json.dumps([[each.path, each.operator, each.operand, each.value_type] for each in state.where]), 10)}")
    parts += [f"zone_{_path_slug(state.zone.lower())}"] if state.zone else []
    parts += [f"rules_{rules}"] if rules else []
    name = "__".join(parts) if value else "_".join([kind, "__".join(parts)]) if parts else kind
    if len(name) > 120:
        name = f"{name[:110]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name
