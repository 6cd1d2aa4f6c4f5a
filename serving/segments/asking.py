"""Segments asked of one person or of everybody at the store's head: memberships in a profile, why, and what a rule that nobody has saved would find. The API calls it.

The same judge as the follower's looks at the same values as the profile shows: a membership and the traits beside it never disagree.
"""

import time

import msgspec

from millrace.definitions import Definitions
from millrace.errors import CoverageError
from millrace.segments import Segment
from serving.segments.judging import Judge
from serving.segments.rules import Rules
from serving.segments.watching import rules_for
from serving.store.base_building import PERSON
from serving.store.store import Store

PREVIEWED = "(rule)"
"""No segment can be called that."""
SHOWN = 10


class Preview(msgspec.Struct):
    """Whom a rule would find: ``count`` of ``persons`` looked at between the heads, some of them by id, and the seconds it took."""

    count: int
    persons: int
    first_head: int
    last_head: int
    examples: list[str]
    seconds: float


def preview(store: Store, definitions: Definitions, rule: str, *, now: int) -> Preview:
    """Looks at everybody. ExpressionError when the rule is wrong; CoverageError when the version served changes meanwhile."""
    started = time.monotonic()
    persons = count = 0
    examples: list[str] = []
    heads: list[int] = []
    unsaved = definitions.model_copy(update={"segments": {**definitions.segments, PREVIEWED: Segment(rule=rule)}})
    rules_for(unsaved, definitions.views[PERSON])
    judge: Judge | None = None
    for pinned in store.people():
        if judge is None:
            judge = Judge(pinned.plan.view, pinned.plan.layout, only(rules_for(unsaved, pinned.plan.view), PREVIEWED))
        heads = [heads[0] if heads else pinned.point.head, pinned.point.head]
        persons += 1
        if judge.judge(pinned, now).names:
            count += 1
            if len(examples) < SHOWN:
                examples.append(pinned.person.id)
    return Preview(count, persons, *(heads or [0, 0]), examples, round(time.monotonic() - started, 3))


def only(rules: Rules, name: str) -> Rules:
    """One segment alone; CoverageError when it waits for traits."""
    if name in rules.waiting:
        raise CoverageError(f"the version served has no {', '.join(rules.waiting[name])} yet; a build brings it")
    found = tuple(segment for segment in rules.segments if segment.name == name)
    return Rules(found, {name: rules.prints[name]})


class TraitSeen(msgspec.Struct):
    """A trait a clause looked at, as a profile shows it."""

    name: str
    value: Value
    layer: str | None
    as_of: str


class Clause(msgspec.Struct):
    """A part of a rule: its text, whether it is true (None: unknown), and the traits it looked at. ``parts``: what it is made of by and, or, not, or a segment."""

    text: str
    holds: bool | None
    traits: list[TraitSeen]
    parts: list["Clause"]


class Why(msgspec.Struct):
    """Whether a person is in a segment and through which clauses. ``changes_at``: when that may change by itself."""

    segment: str
    person_id: str
    rule: str
    holds: bool
    clause: Clause
    as_of: str
    changes_at: str | None
    head: int
    manifest_id: int | None
    decisions: int
    complete: bool


def why(pinned: Pinned, judge: Judge, segment: str, *, at: int) -> Why | None:
    """None when there is no such segment, or it waits for traits."""
    known = {one.name: one for one in judge.rules.segments if isinstance(one, CompiledSegment)}
    if segment not in known:
        return None
    answers, values = judge.answers(pinned, at), judge.values(pinned, at)
    clause = Clauses(known, answers, values, at).explain(known[segment].tree, known[segment].segment.rule)
    due, point = Judge(judge.view, pinned.plan.layout, only(judge.rules, segment)).judge(pinned, at).due, pinned.point
    return Why(
        segment, pinned.person.id, known[segment].segment.rule, known[segment].holds(values, at), clause, time_text(at),
        None if due is None else time_text(due), point.head, point.manifest_id, point.decisions, point.complete,
    )  # fmt: skip
