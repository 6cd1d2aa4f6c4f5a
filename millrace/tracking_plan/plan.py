"""The tracking plan of a tenant: what a message of an event must look like, as JSON Schema, by version (``tracking_plan/*.json``, part of the definitions).

A file is ``{"event": "Order Completed", "version": 2, "rules": {…}}``; ``rules`` describe the whole message, as in Segment's tracking plans, so its fields have
the names that views use (``properties.revenue``). For other calls than track: ``{"type": "identify", "rules": {…}}``.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import jsonschema_rs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from millrace.events.sources import Source
from millrace.tracking_plan.evolution import breaking_changes
from millrace.traits.states import MessageType

Sentence = Callable[[Mapping[str, Any], Mapping[int, tuple[str, ...]]], str]


class EventPlan(BaseModel):
    """One version of what an event looks like. ``event`` is the name of a track call; of pages and screens None means all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: MessageType = "track"
    event: str | None = Field(None, min_length=1)
    version: int = Field(1, ge=1)
    rules: dict[str, Any]
    description: str | None = None

    @model_validator(mode="after")
    def _sound(self) -> "EventPlan":
        if self.type == "track" and self.event is None:
            raise ValueError("the plan of a track call names its event, such as `Order Completed`")
        if self.type in ("identify", "group", "alias") and self.event is not None:
            raise ValueError(f"{self.type} calls have no event; drop it")
        try:
            self.validator()
        except jsonschema_rs.ValidationError as error:
            raise ValueError(f"rules are not usable as JSON Schema: {error.message}; patterns have no look-around, references stay within the file") from None
        return self

    @property
    def name(self) -> str:
        return self.event or f"{self.type} calls"

    def validator(self) -> jsonschema_rs.Validator:
        """Formats count; patterns take linear time; nothing is fetched."""
        return jsonschema_rs.validator_for(self.rules, validate_formats=True, pattern_options=jsonschema_rs.RegexOptions(), offline=True)


TrackingPlan = tuple[EventPlan, ...]


def plan_hash(plan: TrackingPlan, sources: Mapping[str, Source]) -> str | None:
    """16 hex digits that change with everything a verdict depends on: the rules, the modes and the terms of sources. None without a plan: nothing is judged."""
    if not plan:
        return None
    rules = sorted([one.type, one.event or "", one.version, one.rules] for one in plan)
    modes = {name: [source.mode, source.term] if source.term else source.mode for name, source in sources.items()}
    return hashlib.sha256(json.dumps([rules, modes], sort_keys=True).encode()).hexdigest()[:16]


def read_plan(directory: Path, sentence: Sentence) -> tuple[list[Any], list[str]]:
    """What the files of a directory hold, and everything that is wrong with them. A directory that is not there holds nothing."""
    found: list[Any] = []
    plans: list[tuple[EventPlan, Path]] = []
    problems: list[str] = []
    for path in sorted(directory.glob("*.json")):
        try:
            given = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
            plans.append((EventPlan.model_validate(given), path))
            found.append(given)
        except (OSError, ValidationError, ValueError) as error:
            told = error.errors(include_url=False) if isinstance(error, ValidationError) else None
            keys = {1: tuple(EventPlan.model_fields)}
            problems += [f"{path}: {sentence(each, keys)}" for each in told] if told else [f"{path}: is not readable as JSON: {error}"]
    problems += _doubled(plans)
    problems += plan_problems([plan for plan, _ in plans]) if not problems else []
    return found, problems


def plan_problems(plan: Iterable[EventPlan]) -> Iterator[str]:
    """Versions of an event that break the one before."""
    by_event: dict[tuple[str, str], dict[int, EventPlan]] = {}
    for one in plan:
        by_event.setdefault((one.type, one.event or ""), {})[one.version] = one
    for versions in by_event.values():
        for old, new in pairwise([versions[number] for number in sorted(versions)]):
            yield from (
                f"tracking plan of {new.name}: version {new.version} breaks version {old.version}: {change}; give the changed event another name, or keep the field as it was "
                "beside a new one"
                for change in breaking_changes(old.rules, new.rules)
            )


def changed_in_place(before: TrackingPlan, now: TrackingPlan) -> Iterator[str]:
    """Versions that are in use and would break what was accepted under them."""
    known = {(one.type, one.event, one.version): one for one in before}
    for one in now:
        old = known.get((one.type, one.event, one.version))
        if old is not None:
            yield from (
                f"tracking plan of {one.name}: version {one.version} as it is now breaks version {one.version} as it has been in use: {change}; "
                "keep it as it was and write what is new into a version of its own"
                for change in breaking_changes(old.rules, one.rules)
            )


def _doubled(plans: list[tuple[EventPlan, Path]]) -> Iterator[str]:
    first: dict[tuple[str, str | None, int], Path] = {}
    for one, path in plans:
        other = first.setdefault((one.type, one.event, one.version), path)
        if other != path:
            yield f"{path}: version {one.version} of {one.name} is in {other.name} too; drop one of them"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(name for name in names if names.count(name) > 1)!r} is given twice")
    return found
