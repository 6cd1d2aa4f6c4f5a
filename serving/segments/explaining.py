"""Why somebody is in a segment, or not: each clause of its rule with its truth and the traits it looked at. The API calls it.

The same judge as the follower's looks at the same values as the profile shows: a membership and the traits beside it never disagree.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from millrace.expressions import Node, PythonForm, names_of
from millrace.segments import CompiledSegment
from millrace.traits.finish import Value, time_text
from serving.segments.asking import only
from serving.segments.judging import Judge, Values
from serving.store.answers import Pinned
from serving.store.several import TraitAnswer

_TAIL = re.compile(r"(\s|\(|\b(and|or|not)\b)+$", re.IGNORECASE)


@dataclass(frozen=True)
class TraitSeen:
    """A trait a clause looked at, as a profile shows it."""

    name: str
    value: Value
    layer: str | None
    as_of: str


@dataclass(frozen=True)
class Clause:
    """A part of a rule: its text, whether it is true (None: unknown), and the traits it looked at. ``parts``: what it is made of by and, or, not, or a segment."""

    text: str
    holds: bool | None
    traits: list[TraitSeen]
    parts: list["Clause"]


@dataclass(frozen=True)
class WhyMember:
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


def why(pinned: Pinned, judge: Judge, segment: str, *, at: int, now: int = 0) -> WhyMember | None:
    """As of ``at``, asked at ``now`` (microseconds). None when there is no such segment, or it waits for traits."""
    known = {one.name: one for one in judge.rules.segments if isinstance(one, CompiledSegment)}
    if segment not in known:
        return None
    answers, values = judge.answers(pinned, at, now), judge.values(pinned, at, now)
    clause = Clauses(known, answers, values, at).explain(known[segment].tree, known[segment].segment.rule)
    due, point = Judge(judge.view, pinned.plan.layout, only(judge.rules, segment)).judge(pinned, at).due, pinned.point
    return WhyMember(
        segment, pinned.person.id, known[segment].segment.rule, known[segment].holds(values, at), clause, time_text(at),
        None if due is None else time_text(due), point.head, point.manifest_id, point.decisions, point.complete,
    )  # fmt: skip


class Clauses:
    """Rules taken apart over the values of one person."""

    def __init__(self, known: Mapping[str, CompiledSegment], answers: Mapping[str, TraitAnswer], values: Values, at: int) -> None:
        self._known, self._answers, self._values, self._at = known, answers, values, at
        self._form = PythonForm(segments={name: one.holds for name, one in known.items()})

    def explain(self, node: Node, rule: str, end: int | None = None) -> Clause:
        """``end``: where the clause ends in the text of the rule."""
        end = len(rule) if end is None else end
        parts: list[Clause] = []
        if node.op == "segment":
            nested = self._known[node.value]
            parts = [self.explain(nested.tree, nested.segment.rule)]
        elif not _is_whole(node):
            ends = [*(_start(arg) for arg in node.args[1:]), end]
            parts = [self.explain(arg, rule, ends[number]) for number, arg in enumerate(node.args)]
        traits = [] if parts else [self._seen(name) for name in names_of(node) if name in self._answers]
        return Clause(_balanced(_TAIL.sub("", rule[_start(node) : end])), self._form.value(node)(self._values, self._at), traits, parts)

    def _seen(self, name: str) -> TraitSeen:
        answer = self._answers[name]
        return TraitSeen(name, answer.value, answer.layer, answer.as_of)


def _is_whole(node: Node) -> bool:
    """Whether a node is one clause: no and, or, not, and nothing that only reads like one (``between``, ``not in``)."""
    if node.op in ("and", "or"):
        return len({arg.at for arg in node.args}) == 1 and node.args[0].op == "ge"
    return node.op != "not" or node.at > min(one.at for one in node.args[0].walk())


def _start(node: Node) -> int:
    return min(one.at for one in node.walk())


def _balanced(text: str) -> str:
    """The text without brackets that are closed and not opened in it, or the other way round."""
    missing = text.count(")") - text.count("(")
    while missing > 0 and text.endswith(")"):
        text, missing = text[:-1].rstrip(), missing - 1
    return "(" * missing + text if missing > 0 else text
