"""Which sources a trait counts and how long it may: ``party`` and ``sources`` of a trait against what sources.yml declares (ADR 0028). definitions.py asks.

By default a trait counts every source but those with a term (``retention``): what it once counted of them would outlive it. A trait that names such sources, or the party
they are of, counts nothing else, and its window is no longer than their term; so all of its states have the same events, and one window drops them in time.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from millrace.spans import span_text
from millrace.traits.filters import NOT_IN, Condition
from millrace.traits.windows import Window, seconds_of
from millrace.yaml_files import did_you_mean

if TYPE_CHECKING:
    from millrace.events.sources import Source
    from millrace.traits.traits import Trait
    from millrace.traits.views import View

Party = Literal["first", "second", "third"]
UNNAMED = ("http", "kafka")
"""Sources that exist without being declared."""


@dataclass(frozen=True)
class Counted:
    """``where``: the condition on the source of an event, none for every source. ``term``: seconds for which its events may be used, 0 for always."""

    where: tuple[Condition, ...] = ()
    term: int = 0


EVERY_SOURCE = Counted()


def terms_of(sources: Mapping[str, "Source"]) -> dict[str, int]:
    """Seconds of the term of each source that has one."""
    return {name: source.term for name, source in sorted(sources.items()) if source.term}


def counted(trait: "Trait", sources: Mapping[str, "Source"]) -> Counted:
    """What the trait counts. Of several terms the shortest holds, so that no answer ever has what is over; ``party_problems`` tells where that would lose something."""
    terms = terms_of(sources)
    names = _named(trait, sources)
    if names is not None:
        return Counted((_condition("in", names),), min((terms[name] for name in names if name in terms), default=0))
    others = {name for name, source in sources.items() if trait.party == "first" and source.party != "first"}
    return Counted((_condition(NOT_IN, others | terms.keys()),) if others or terms else (), 0)


def party_problems(views: Mapping[str, "View"], sources: Mapping[str, "Source"]) -> Iterator[str]:
    """What traits say of sources that sources.yml does not allow, one sentence each."""
    for name, view in views.items():
        yield from (f"{name}.traits.{key}: {problem}" for key, trait in view.traits.items() for problem in _problems(trait, sources))


def _problems(trait: "Trait", sources: Mapping[str, "Source"]) -> Iterator[str]:
    terms, names = terms_of(sources), _named(trait, sources)
    if trait.party and trait.sources:
        yield "party and sources both say whose events count; drop one"
    for name in trait.sources:
        if name not in sources and name not in UNNAMED:
            yield f"sources names {name!r}, which sources.yml does not declare{did_you_mean(name, sources)}"
    if names is not None and not names:
        yield f"party: {trait.party}, but sources.yml declares no source with `party: {trait.party}`; declare one, or drop party"
    for where, name in _mentioned(trait):
        if name in terms and name not in (names or ()):
            yield (
                f"{where} names {name}, of which nothing counts here: it has a term ({span_text(terms[name])}); write a trait with `sources: [{name}]`, and combine "
                "both by an expression such as `coalesce(city, city_of_dmp)`"
            )
    if names:
        yield from _term_problems(trait, {name: terms.get(name, 0) for name in sorted(names)})


def _term_problems(trait: "Trait", terms: Mapping[str, int]) -> Iterator[str]:
    shortest = min((term for term in terms.values() if term), default=0)
    if not shortest:
        return
    window = Window(trait.window, trait.ago, trait.time_zone)
    if trait.ago and seconds_of(trait.ago) >= shortest:
        yield f"ago {trait.ago!r} looks back beyond the term of {span_text(shortest)}: nothing would ever count; write a shorter one"
    if len(set(terms.values())) > 1 and (trait.ago or window.is_calendar or not trait.window or window.seconds + window.hop > shortest):
        each = ", ".join(f"{name} {span_text(term) if term else 'none'}" for name, term in terms.items())
        yield (
            f"its sources have several terms ({each}), which no one window keeps; write a trait for each term and combine them by an expression, "
            f"or a window that ends a day before {span_text(shortest)}"
        )


def _named(trait: "Trait", sources: Mapping[str, "Source"]) -> set[str] | None:
    """The sources a trait counts and no others; None when it counts all that are not left out."""
    if trait.sources:
        return set(trait.sources)
    if trait.party in ("second", "third"):
        return {name for name, source in sources.items() if source.party == trait.party}
    return None


def _mentioned(trait: "Trait") -> Iterator[tuple[str, str]]:
    """Sources that other parts of the declaration name, and where."""
    yield from (("prefer", name) for name in trait.prefer)
    for condition in trait.where:
        if condition.path == "source" and condition.operator in ("eq", "in"):
            yield from (("where", name) for name in (condition.value if condition.operator == "in" else [condition.value]))


def _condition(operator: str, names: Iterable[str]) -> Condition:
    return Condition("source", operator, json.dumps(sorted(names)), "string")
