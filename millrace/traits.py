"""Traits and views as declared, and the states they stand on. Batch, speed and store compile the same declarations.

A trait is one answer about a key (``spend_30d``); states are what is stored to answer it (``sum_properties_revenue__order_completed`` in day
tiles). Traits that differ only in their window share states.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from millrace.algebra import KINDS, VALUE_TYPES

HOUR, DAY, ALL_TIME = 3_600, 86_400, 0
Op = Literal["count", "sum", "min", "max", "avg", "first", "last", "approx_distinct"]
MessageType = Literal["track", "identify", "page", "screen", "group", "alias"]
PROFILE_COLUMNS = ("person_id", "identifier_count", "hints", "as_of", "manifest_id", "cut", "head", "definitions_hash", "decisions")
"""Columns of serving/profiles besides the traits."""
PLAIN_TYPES = {"event_time": "time", "received_at": "time", "name": "string", "type": "string", "source": "string"}
"""Values that every event has, by their type; the others are paths into the message."""
VALUE_PATH = re.compile(rf"^(properties|traits|context)(\.[A-Za-z0-9_$-]+)+$|^({'|'.join(PLAIN_TYPES)})$")
WINDOW = re.compile(r"^([1-9]\d{0,4})([hd])$")
_WORDS = {"text", "as_number", *get_args(MessageType), *PLAIN_TYPES}
NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")


@dataclass(frozen=True, order=True)
class State:
    """What is kept per key and tile: one column of a view. ``events`` empty means every event; ``value`` None for count."""

    name: str
    kind: str
    value: str | None
    value_type: str
    events: tuple[str, ...]
    type: str | None

    @property
    def delta_type(self) -> str:
        return KINDS[self.kind].type.format(value=VALUE_TYPES[self.value_type])


def _as_tuple(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    sound = isinstance(value, tuple) or (isinstance(value, list) and value and all(isinstance(event, str) for event in value))
    if not sound:
        raise ValueError("event is a name or a list of names; drop it to take every event")
    return value


class Trait(BaseModel):
    """One answer about a key: ``op`` over ``value`` of the events that match ``event`` and ``type`` within ``window`` (absent: lifetime)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    op: Op
    event: Annotated[tuple[str, ...], BeforeValidator(_as_tuple)] = ()
    type: MessageType | None = None
    value: str | None = None
    value_type: Literal["number", "string", "time"] | None = None
    window: str | None = None
    description: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> "Trait":
        problems = []
        if self.op != "count" and self.value is None:
            problems.append(f"op {self.op} needs a value: a path such as properties.revenue, or event_time")
        if self.op == "count" and self.value is not None:
            problems.append("op count counts events and takes no value; drop it, or use approx_distinct")
        if self.op == "count" and self.value_type is not None:
            problems.append("op count reads no value; drop value_type")
        if self.value is not None and not VALUE_PATH.match(self.value):
            problems.append(f"value {self.value!r} is not a path: allowed are properties.…, traits.…, context.…, event_time, received_at, name, type, source")
        if self.window is not None and not (match := WINDOW.match(self.window)):
            problems.append(f"window {self.window!r} is not a length: allowed are hours (24h) or days (30d); drop it for lifetime")
        elif self.window is not None and self._seconds(match) > 731 * DAY:
            problems.append(f"window {self.window!r} is too long: at most 731 days; drop it for lifetime")
        if self.op in ("sum", "avg") and (self.value_type not in (None, "number") or self.value in PLAIN_TYPES):
            problems.append(f"op {self.op} works on numbers, not on {f'{self.value}' if self.value in PLAIN_TYPES else f'value_type {self.value_type}'}")
        elif self.value in PLAIN_TYPES and self.value_type not in (None, PLAIN_TYPES[self.value]):
            problems.append(f"value {self.value} is of value_type {PLAIN_TYPES[self.value]}, not {self.value_type}; drop value_type")
        elif self.value_type == "time" and self.value not in PLAIN_TYPES:
            problems.append("value_type time is for event_time and received_at")
        if self.op == "approx_distinct" and PLAIN_TYPES.get(self.value or "") == "time":
            problems.append(f"op approx_distinct works on text, not on {self.value}")
        if any(not event.strip() for event in self.event):
            problems.append("event must not be empty; drop it to take every event")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @staticmethod
    def _seconds(match: re.Match[str]) -> int:
        return int(match[1]) * (HOUR if match[2] == "h" else DAY)

    @property
    def window_seconds(self) -> int:
        """Length of the window; 0 for lifetime."""
        return self._seconds(WINDOW.match(self.window)) if self.window else 0

    @property
    def hop(self) -> int:
        """Tile its window is made of, in seconds: an hour, a day, or 0 for all time."""
        if not self.window:
            return ALL_TIME
        return HOUR if self.window.endswith("h") else DAY

    @property
    def resolved_type(self) -> str:
        """Type of the value: as declared, or number, or time for times, or string for first, last and distinct values."""
        if self.value in PLAIN_TYPES:
            return PLAIN_TYPES[self.value]
        if self.value_type:
            return self.value_type
        return "string" if self.op in ("first", "last", "approx_distinct") else "number"

    @property
    def states(self) -> tuple[State, ...]:
        """States it is finished from, in the order the finisher takes them: (sum, count) for avg, one for every other op."""
        if self.op == "avg":
            return (self._state("sum"), self._state("count"))
        return (self._state("distinct" if self.op == "approx_distinct" else self.op),)

    def _state(self, kind: str) -> State:
        value_type = "string" if kind == "distinct" else self.resolved_type
        return State(
            name=_state_name(kind, self.value, value_type, events=self.event, type=self.type),
            kind=kind, value=self.value, value_type=value_type, events=tuple(sorted(set(self.event))), type=self.type,
        )  # fmt: skip


class View(BaseModel):
    """Traits of one kind of key. ``node``: the identifier that owns the event; a person's answer merges the rows of all his nodes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: Literal["node"]
    traits: dict[str, Trait] = Field(min_length=1)

    @model_validator(mode="after")
    def _names(self) -> "View":
        wrong = [name for name in self.traits if not NAME.match(name)]
        if wrong:
            raise ValueError(f"trait names {wrong} are not allowed: lower-case letters, digits and _, starting with a letter")
        taken = [name for name in self.traits if name in PROFILE_COLUMNS]
        if taken:
            raise ValueError(f"trait names {taken} are columns that every profile has ({', '.join(PROFILE_COLUMNS)}); choose other names")
        return self

    @property
    def states(self) -> dict[State, frozenset[int]]:
        """Every state of the view, by name, with the hops it is kept for."""
        hops: dict[State, set[int]] = {}
        for trait in self.traits.values():
            for state in trait.states:
                hops.setdefault(state, set()).add(trait.hop)
        return {state: frozenset(hops[state]) for state in sorted(hops)}

    @property
    def hops(self) -> tuple[int, ...]:
        return tuple(sorted({trait.hop for trait in self.traits.values()}))


def _event_slug(event: str) -> str:
    """Lower-case name of an event. Any spelling but the usual ``Title Case`` gets a short hash, as does what reads like another part of a state's name."""
    slug = re.sub(r"[^a-z0-9]+", "_", event.lower()).strip("_")
    reads_otherwise = slug in _WORDS or slug.split("_")[0] in ("properties", "traits", "context")
    return slug if event == slug.replace("_", " ").title() and not reads_otherwise else _hashed(slug, event)


def _path_slug(path: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "_", path.lower()).strip("_")
    return slug if path in (slug, slug.replace("_", ".", 1)) else _hashed(slug, path)


def _hashed(slug: str, text: str) -> str:
    return f"{slug}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def _state_name(kind: str, value: str | None, value_type: str, *, events: tuple[str, ...], type: str | None) -> str:
    """Name of a state's column, such as ``sum_properties_revenue__order_completed``: no two states share one. ``__`` parts value and events."""
    parts = [f"{kind}_{_path_slug(value)}"] if value else []
    if value and kind in ("min", "max", "first", "last") and value not in PLAIN_TYPES:
        usual = "number" if kind in ("min", "max") else "string"
        parts += [] if value_type == usual else ["text" if value_type == "string" else "as_number"]
    parts += [type] if type else []
    parts += [_event_slug(event) for event in sorted(set(events))]
    name = "__".join(parts) if value else "_".join([kind, "__".join(parts)]) if parts else kind
    if len(name) > 120:
        name = f"{name[:110]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name
