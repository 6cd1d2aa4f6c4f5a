"""Traits as declared, and the states they stand on; views.py holds them together. Batch, speed and store compile the same declarations.

A trait is one answer about a key (``spend_30d``); states are what is stored to answer it (``sum_properties_revenue__order_completed`` in day
tiles). Traits that differ only in their window share states.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PrivateAttr, model_validator

from millrace.enrichment.paths import families_of
from millrace.traits.checks import NUMERIC, OF_VALUES, QUANTILES, problems_of
from millrace.traits.filters import Condition, parse_where, where_as_declared
from millrace.traits.parties import EVERY_SOURCE, Counted, Party
from millrace.traits.states import PLAIN_TYPES, MessageType, State, state_of
from millrace.traits.windows import ALL_TIME, DAY, HOUR, LOCAL_DAY, Window
from millrace.traits.zones import check_zone

__all__ = ["ALL_TIME", "DAY", "HOUR", "LOCAL_DAY", "PLAIN_TYPES", "Answers", "Op", "State", "Trait"]

Op = Literal[
    "count", "sum", "min", "max", "avg", "first", "last", "approx_distinct", "variance", "stddev", "median", "p5", "p10", "p25", "p75", "p90", "p95", "p99",
    "count_distinct", "unique_list", "most_frequent", "histogram", "top_k", "exists", "time_since", "active_days", "streak", "longest_streak", "times",
]  # fmt: skip
Answers = Literal["integer", "number", "text", "time", "boolean", "list", "times", "counts"]
"""What kind of value a trait shows."""
TOP = 5
_INTEGERS = ("count", "approx_distinct", "count_distinct", "time_since", "active_days", "streak", "longest_streak")
_KINDS = {
    "avg": ("sum", "count"), "approx_distinct": ("distinct",), "variance": ("sum", "count", "squares"), "stddev": ("sum", "count", "squares"), "exists": ("count",),
    "time_since": ("last",), "active_days": ("days",), "streak": ("days",), "longest_streak": ("days",),
    **dict.fromkeys(OF_VALUES, ("counts",)), **dict.fromkeys(QUANTILES, ("spread",)),
}  # fmt: skip
"""Kinds of the states an operation stands on, where it is not the one of its own name."""


def _as_tuple(value: object) -> object:
    if isinstance(value, str):
        return (value,)
    sound = isinstance(value, tuple) or (isinstance(value, list) and value and all(isinstance(event, str) for event in value))
    if not sound:
        raise ValueError("event is a name or a list of names; drop it to take every event")
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_tuple)]
Where = Annotated[tuple[Condition, ...], BeforeValidator(parse_where), PlainSerializer(where_as_declared)]


class Trait(BaseModel):
    """One answer about a key: ``op`` over ``value`` of the events that match ``event``, ``type`` and ``where`` within ``window`` (absent: lifetime).

    ``ago`` moves a window back; ``since``: only what came after the last event of this name. ``prefer``: sources, the best first, whose value is taken before others';
    ``provenance``: the answer says from which source and when a value came. ``k``: how many values top_k shows. ``time_zone``: of a calendar's days, set by the view.
    ``party`` and ``sources``: whose events count; without them, all but those of sources with a term (parties.py).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    op: Op
    event: Names = ()
    type: MessageType | None = None
    value: str | None = None
    value_type: Literal["number", "string", "time"] | None = None
    where: Where = ()
    window: str | None = None
    ago: str | None = None
    since: Names = ()
    k: int | None = Field(None, ge=1, le=100)
    prefer: Names = ()
    provenance: bool = False
    party: Party | None = None
    sources: Names = ()
    time_zone: Annotated[str, BeforeValidator(check_zone)] = "UTC"
    description: str = ""
    _rules: Mapping[str, str] = PrivateAttr(default_factory=dict)  # digests by family of enriched values; the definitions set them
    _counted: Counted = PrivateAttr(default=EVERY_SOURCE)  # as sources.yml says; the definitions set it

    @model_validator(mode="after")
    def _consistent(self) -> "Trait":
        if problems := list(problems_of(self)):
            raise ValueError("; ".join(problems))
        return self

    @property
    def span(self) -> Window:
        """Its window, no longer than the term of the sources it counts."""
        return Window(self.window, self.ago, self.time_zone).within(self._counted.term)

    @property
    def hop(self) -> int:
        """Tile its window is made of: an hour, a day, a local day, or all time."""
        return self.span.hop

    @property
    def resolved_type(self) -> str:
        """Type of the value: as declared, or number, or time for times, or string for what is first, last, or one of several values."""
        if self.value in PLAIN_TYPES:
            return PLAIN_TYPES[self.value]
        if self.value_type:
            return self.value_type
        return "string" if self.op in ("first", "last", "approx_distinct", *OF_VALUES) else "number"

    @property
    def answers(self) -> Answers:
        """What kind of value it shows."""
        kinds: dict[str, Answers] = {"exists": "boolean", "times": "times", "unique_list": "list", "histogram": "counts", "top_k": "counts"}
        if self.op in _INTEGERS:
            return "integer"
        if self.op in NUMERIC:
            return "number"
        return kinds.get(self.op) or {"number": "number", "string": "text", "time": "time"}[self.resolved_type]  # type: ignore[return-value]

    @property
    def expressed(self) -> str | None:
        """Its type in expressions; None where it has none: values with counts, lists of numbers."""
        return None if self.answers == "counts" or (self.answers == "list" and self.resolved_type != "string") else self.answers

    @property
    def is_timed(self) -> bool:
        """Whether its value depends on the time of reading beyond which tiles its window has."""
        return self.op in ("time_since", "streak")

    @property
    def states(self) -> tuple[State, ...]:
        """States it is finished from, in the order the finisher takes them: of its kinds; for ``since`` the times of the events and the last of those it names;
        with ``prefer`` the value of each of the sources, of all, and the source of the last; with ``provenance`` the value and its source."""
        if self.since:
            return (self._state("times"), state_of("last", "event_time", "time", events=self.since, where=self._counted.where))
        if self.prefer or self.provenance:
            preferred = [self._state(self.op, where=parse_where({"source": source})) for source in self.prefer]
            usable = Condition(self.value or "", "exists", "true", self.resolved_type)
            source = state_of(self.op, "source", "string", events=self.event, type=self.type, where=(*self.conditions, usable), zone=self._zone, rules=self._rules)
            return (*preferred, self._state(self.op), source)
        return tuple(self._state(kind) for kind in _KINDS.get(self.op, (self.op,)))

    def under(self, digest: Callable[[str], str]) -> "Trait":
        """The trait whose states say under which rules of enriched values they are kept; itself when it reads none."""
        if not (families := families_of(path for state in self.states for path, _ in state.reads)):
            return self
        found = self.model_copy()
        found._rules = {family: digest(family) for family in families}
        return found

    def counting(self, counted: Counted) -> "Trait":
        """The trait that counts the events of these sources."""
        found = self.model_copy()
        found._counted = counted
        return found

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Its filter, and which sources it counts."""
        return (*self.where, *self._counted.where)

    @property
    def of_sources(self) -> tuple[Condition, ...]:
        """Which sources it counts."""
        return self._counted.where

    @property
    def _zone(self) -> str:
        return self.time_zone if self.hop == LOCAL_DAY else ""

    def _state(self, kind: str, *, where: tuple[Condition, ...] = ()) -> State:
        value, value_type = self.value, "string" if kind == "distinct" else self.resolved_type
        zone = self._zone
        if self.op == "time_since":
            value, value_type = "event_time", "time"
        if kind == "days" and self.time_zone != "UTC":
            zone = self.time_zone
        return state_of(kind, value, value_type, events=self.event, type=self.type, where=(*self.conditions, *where), zone=zone, rules=self._rules)
