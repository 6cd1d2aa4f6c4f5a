"""What a rule that nobody has saved would find among everybody at the store's head. The API calls it."""

import time
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Preview:
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
        if judge.names(pinned, now):
            count += 1
            if len(examples) < SHOWN:
                examples.append(pinned.person.id)
    return Preview(count, persons, *(heads or [0, 0]), examples, round(time.monotonic() - started, 3))


def only(rules: Rules, name: str) -> Rules:
    """One segment alone; CoverageError when it waits for traits."""
    if name in rules.waiting:
        raise CoverageError(f"it needs {', '.join(rules.waiting[name])}: a trait comes with the next build; percentiles are settled in serving/segment_members only")
    found = tuple(segment for segment in rules.segments if segment.name == name)
    return Rules(found, {name: rules.prints[name]})
