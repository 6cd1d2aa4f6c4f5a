"""Segments as declared in segments.yml and compiled for use: who belongs now, and when that could change without an event. Publish, live evaluation and API call it.

A segment is a rule over the traits of a person. A person without a value a rule needs is no member: a segment holds only where its rule is true.
"""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from millrace.expressions import ExpressionError, Node, PythonForm, Truth, names_of, parse, segments_of, thresholds_of
from millrace.expressions.instants import Turn, turns
from millrace.expressions.tokens import KEYWORDS
from millrace.traits.views import NAME, View

if TYPE_CHECKING:
    from millrace.definitions import Definitions

Kind = Literal["demographic", "behavioural", "psychographic", "transactional"]
Threshold = tuple[str, str, int]
"""(trait, ``reaches`` or ``passes``, share scaled by 10**9) of a ``percentile``."""
PERSON_NAME = "person"
"""The name under which a rule finds the id of the person, for ``bucket``."""
_DEEPEST = 20
_LOOKS_AHEAD = 64
"""How many instants at which nothing turns are passed over before one is given that may be too early."""


def _as_rule(value: object) -> object:
    if isinstance(value, str):
        return {"rule": value}
    if not isinstance(value, dict | BaseModel):
        raise ValueError('a rule in quotes is needed, or a mapping such as {rule: "orders_30d >= 3", kind: transactional}')
    return value


class Segment(BaseModel):
    """One rule over traits, such as ``spend_30d < 0.5 * spend_90d and orders_count >= 3``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rule: str
    kind: Kind | None = None
    description: str = ""


Segments = dict[str, Annotated[Segment, BeforeValidator(_as_rule)]]


@dataclass(frozen=True)
class CompiledSegment:
    """``traits``: names of the traits it needs, those of nested segments too; ``order``: nested segments have a lower one."""

    name: str
    segment: Segment
    tree: Node
    traits: tuple[str, ...]
    thresholds: tuple[Threshold, ...]
    nested: tuple[str, ...]
    order: int
    _holds: Truth
    _turns: tuple[Turn, ...]

    @property
    def looks_at_now(self) -> bool:
        """Whether it can turn although no value does."""
        return bool(self._turns)

    def holds(self, values: Mapping[str, Any], now: int) -> bool:
        """Whether a person belongs. ``values``: by trait; integers, numbers scaled by 10**9, texts, times in microseconds, None or nothing for unknown; the
        person's id as ``person`` where a rule asks for it. ``now``: microseconds."""
        return self._holds(values, now)

    def next_change(self, values: Mapping[str, Any], now: int) -> int | None:
        """The earliest instant after ``now`` at which the verdict changes although no value does; None for never. It may be too early (nothing changes yet, ask
        again then), never too late. Windows of traits are not looked at."""
        if not self._turns:
            return None
        verdict, at = self._holds(values, now), now
        for _ in range(_LOOKS_AHEAD):
            later = [instant for turn in self._turns if (instant := turn(values, at)) is not None]
            if not later:
                return None
            at = min(later)
            if self._holds(values, at) != verdict:
                return at
        return at


def trait_types(view: View) -> dict[str, str]:
    """Type in expressions of each trait of a view, and of the person's id."""
    derived = {one.name: one.answers for one in view.compiled}
    return {name: trait.expressed for name, trait in view.traits.items() if trait.expressed} | derived | {PERSON_NAME: "text"}


def compile_segments(definitions: "Definitions", thresholds: Mapping[Threshold, Any] | None = None) -> tuple[CompiledSegment, ...]:
    """Every segment, nested ones before those that name them. ``thresholds``: as a publish has settled them; without them nobody reaches a percentile.
    ExpressionError when a rule is wrong."""
    trees = parsed_segments(definitions.segments, trait_types(definitions.views["person"]))
    compiled: dict[str, CompiledSegment] = {}
    truths: dict[str, Truth] = {}
    form = PythonForm(thresholds, truths)
    for name in in_order(trees):
        tree, inner = trees[name], [compiled[other] for other in segments_of(trees[name])]
        truths[name] = form.is_true(tree)
        own = tuple(turns(tree, form.value))
        compiled[name] = CompiledSegment(
            name=name, segment=definitions.segments[name], tree=tree, traits=_united(names_of(tree), (one.traits for one in inner)),
            thresholds=_united(thresholds_of(tree), (one.thresholds for one in inner)), nested=segments_of(tree),
            order=1 + max((one.order for one in inner), default=-1), _holds=truths[name], _turns=_united(own, (one._turns for one in inner)),
        )  # fmt: skip
    return tuple(compiled.values())


def parsed_segments(segments: Mapping[str, Segment], names: Mapping[str, str]) -> dict[str, Node]:
    return {name: parse(segment.rule, names, segments=segments, wanted=["boolean"]) for name, segment in segments.items()}


def in_order(trees: Mapping[str, Node]) -> list[str]:
    """Names, nested ones first, otherwise as declared. The trees must be free of circles (``segment_problems``)."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        for other in segments_of(trees[name]):
            visit(other)
        found.setdefault(name)

    for name in trees:
        visit(name)
    return list(found)


def _united(own: tuple[Any, ...], others: Iterator[tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys([*own, *(one for other in others for one in other)]))


def segments_hash(segments: Mapping[str, Segment]) -> str:
    """16 hex digits that change when a rule changes; descriptions, kinds and order do not count. No state depends on it."""
    return hashlib.sha256(json.dumps({name: segment.rule for name, segment in segments.items()}, sort_keys=True).encode()).hexdigest()[:16]


def segment_problems(segments: Mapping[str, Segment], view: View) -> Iterator[str]:
    """What is wrong with names and rules, one sentence each."""
    names, trees = trait_types(view), {}
    for name, segment in segments.items():
        if not NAME.match(name) or name in KEYWORDS:
            yield f"{name}: the name is not allowed: lower-case letters, digits and _, starting with a letter, and no word of the language such as {', '.join(sorted(KEYWORDS)[:4])}"
        elif name in names:
            yield f"{name}: there is a {'trait' if name in view.traits else 'name'} {name} already; choose another name"
        try:
            trees[name] = parse(segment.rule, names, segments=segments, wanted=["boolean"])
        except ExpressionError as error:
            yield from (f"{name}.rule {problem}" for problem in error.problems)
    yield from _nesting_problems(trees, segments)


def _nesting_problems(trees: Mapping[str, Node], declared: Collection[str]) -> Iterator[str]:
    """Circles, each told once, and rules nested too deep."""
    inner = {name: segments_of(trees[name]) if name in trees else () for name in declared}
    depth: dict[str, int] = {}
    told: set[frozenset[str]] = set()
    for start in inner:
        stack: list[tuple[str, Iterator[str]]] = [] if start in depth else [(start, iter(inner[start]))]
        while stack:
            name, rest = stack[-1]
            other = next(rest, None)
            path = [one for one, _ in stack]
            if other is None:
                depth[name] = 1 + max((depth.get(one, 0) for one in inner[name]), default=0)
                stack.pop()
                if depth[name] == _DEEPEST + 1:
                    yield f"{name}: segments are nested {depth[name]} deep; at most {_DEEPEST} are allowed"
            elif other in path:
                circle = [*path[path.index(other) :], other]
                if frozenset(circle) not in told:
                    told.add(frozenset(circle))
                    yield f"{' names '.join(circle)}: segments cannot stand on each other in a circle; take one of these names out of its rule"
            elif other not in depth:
                stack.append((other, iter(inner[other])))
