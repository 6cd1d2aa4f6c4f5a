"""Segments as the follower and the API evaluate them: compiled rules, by name, with a fingerprint each. watching.py and the API make them from definitions."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol


class CompiledSegment(Protocol):
    """One rule. ``traits``: what it needs; ``holds``: whether it is true of values (Python form, None for absent) at an instant in microseconds; ``next_change``:
    the earliest later instant at which that may be otherwise although the values stay; ``order``: those it names come before it."""

    name: str
    traits: tuple[str, ...]
    order: int

    def holds(self, values: Mapping[str, Any], now: int) -> bool: ...

    def next_change(self, values: Mapping[str, Any], now: int) -> int | None: ...


@dataclass(frozen=True)
class Rules:
    """All segments that can be evaluated. ``prints``: a fingerprint of each rule, another one when the rule means something else; ``waiting``: segments that need
    traits no published version has yet, with those traits."""

    segments: tuple[CompiledSegment, ...]
    prints: Mapping[str, str]
    waiting: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def traits(self) -> frozenset[str]:
        return frozenset(trait for segment in self.segments for trait in segment.traits)

    @cached_property
    def hash(self) -> str:
        """16 hex digits that change when a rule does."""
        return hashlib.sha256(json.dumps(dict(self.prints), sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.prints))


def rules_of(segments: Iterable[CompiledSegment], prints: Mapping[str, str], have: Iterable[str]) -> Rules:
    """The segments whose traits a view has; the others wait."""
    known, found, waiting = set(have), [], {}
    for segment in sorted(segments, key=lambda one: (one.order, one.name)):
        if lacking := tuple(sorted(set(segment.traits) - known)):
            waiting[segment.name] = lacking
        else:
            found.append(segment)
    return Rules(tuple(found), {segment.name: prints[segment.name] for segment in found}, waiting)
