"""What other definitions would change, before anybody applies them: traits to fill back and what that costs, who would enter and leave segments, what stands on what.
jobs/plan_definitions.py shows it. Nothing is written.

Segments are judged over the traits that are served now, everybody under both sets of rules at one time; one that needs a trait no version has yet cannot be counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from millrace.definitions import Definitions
from millrace.expressions import names_of
from millrace.segments import compile_segments
from millrace.spans import span_text
from millrace.tables.ledger import read_ledger
from millrace.tables.manifest import latest_manifest
from millrace.traits.views import View
from serving.segments.judging import Judge
from serving.segments.watching import rules_for
from serving.store.base_building import PERSON
from serving.store.store import Store

NEW, CHANGED, GONE, FOLLOWS = "new", "changed", "gone", "follows"
"""``follows``: the rule is the same, but not what it names."""


@dataclass(frozen=True)
class TraitChange:
    """``fills_back``: states that are kept for it from now on and are computed from the log. ``used_by``: traits and segments that stand on it, of the definitions
    that have it."""

    name: str
    change: str
    fills_back: list[str]
    used_by: list[str]


@dataclass
class SegmentChange:
    """Persons who would be in and out because of it, with some of their ids; ``waits_for``: what is not served yet, where it cannot be counted."""

    name: str
    change: str
    waits_for: list[str]
    used_by: list[str]
    entering: int = 0
    leaving: int = 0
    staying: int = 0
    samples: dict[str, list[str]] = field(default_factory=lambda: {"entering": [], "leaving": []})

    def count(self, person_id: str, *, was: bool, is_in: bool, samples: int) -> None:
        if was and is_in:
            self.staying += 1
        elif was or is_in:
            kind = "leaving" if was else "entering"
            setattr(self, kind, getattr(self, kind) + 1)
            if len(self.samples[kind]) < samples:
                self.samples[kind].append(person_id)


@dataclass(frozen=True)
class DefinitionsPlan:
    """Against what was published with ``manifest_id`` (None: nothing is). ``log_rows``: rows of the log that the next build reads to fill back, 0 when nothing has to
    be. ``identity``: whether the rules of who is one person change too (jobs.plan_identity shows whom). ``terms``: sources whose term changes, with what it was and
    would be; one that gets a first one shows no edge any more and counts only where a trait names it."""

    manifest_id: int | None
    head: int
    persons: int
    traits: list[TraitChange]
    segments: list[SegmentChange]
    log_rows: int
    identity: bool
    terms: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)


def plan_definitions(store: Store, after: Definitions, *, before: Definitions | None = None, samples: int = 5) -> DefinitionsPlan:
    """The plan at the store's head. ``before``: what is in force; default: what the last publish had. CoverageError when a version is published meanwhile."""
    manifest, ledger = latest_manifest(store.tables), read_ledger(store.tables)
    before = before or (manifest.definitions if manifest else store.definitions)
    segments = segment_changes(before, after)
    persons, head = 0, ledger.head
    judges: tuple[Judge, Judge] | None = None
    for pinned in store.people() if segments else ():
        view, layout = pinned.plan.view, pinned.plan.layout
        if judges is None:
            old, new = rules_for(before, view), rules_for(after, view)
            judges = Judge(view, layout, old), Judge(view, layout, new)
            for one in segments:
                one.waits_for = sorted({*old.waiting.get(one.name, ()), *new.waiting.get(one.name, ())})
        now = store.clock()
        was, is_in = (set(judge.names(pinned, now)) for judge in judges)
        persons, head = persons + 1, pinned.point.head
        for one in segments:
            if not one.waits_for:
                one.count(pinned.person.id, was=one.name in was, is_in=one.name in is_in, samples=samples)
    rows = 0 if before.hash == after.hash else sum(ledger.counts(ledger.head)[name] for name in ("accepted", "duplicate"))
    traits, manifest_id = trait_changes(before, after), manifest.manifest_id if manifest else None
    return DefinitionsPlan(manifest_id, head, persons, traits, segments, rows, before.identity != after.identity, term_changes(before, after))


def term_changes(before: Definitions, after: Definitions) -> dict[str, tuple[str | None, str | None]]:
    """Sources that have another term, or none any more, or one for the first time."""
    old, new = ({name: span_text(term) for name, term in one.terms.items()} for one in (before, after))
    return {name: (old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)}


def trait_changes(before: Definitions, after: Definitions) -> list[TraitChange]:
    """Traits of persons that are new, declared otherwise, or gone; descriptions do not count."""
    old, new = (_declared(one.views[PERSON]) for one in (before, after))
    kept = {state.name: hops for state, hops in before.states[PERSON].items()}
    changes = []
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            continue
        view = after.views[PERSON]
        states = view.traits[name].states if name in view.traits else ()
        fills_back = sorted(state.name for state in states if view.traits[name].hop not in kept.get(state.name, ()))
        change = NEW if name not in old else GONE if name not in new else CHANGED
        changes.append(TraitChange(name, change, fills_back, _users(name, before if change == GONE else after)))
    return changes


def segment_changes(before: Definitions, after: Definitions) -> list[SegmentChange]:
    """Segments that may have other members: new, with another rule, gone, or standing on something that is."""
    moved = {one.name for one in trait_changes(before, after)}
    old, new = ({name: segment.rule for name, segment in one.segments.items()} for one in (before, after))
    stands_on = {one.name: {*one.traits, *one.nested} for one in compile_segments(after)}
    moved |= {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}
    for name, inner in stands_on.items():  # nested ones come first
        if moved & inner:
            moved.add(name)
    changes = []
    for name in sorted(moved & (old.keys() | new.keys())):
        change = NEW if name not in old else GONE if name not in new else FOLLOWS if old[name] == new[name] else CHANGED
        changes.append(SegmentChange(name, change, [], _users(name, before if change == GONE else after)))
    return changes


def _declared(view: View) -> Mapping[str, object]:
    """Traits as they count: with the view's time zone, the sources and the window they have in the end, without descriptions."""
    plain = {name: (view.time_zone, trait.of_sources, trait.span, trait.model_dump(exclude={"description"})) for name, trait in view.traits.items()}
    return plain | {name: trait.model_dump(exclude={"description"}) for name, trait in view.derived.items()}


def _users(name: str, definitions: Definitions) -> list[str]:
    """Derived traits and segments that name it."""
    derived = [one.name for one in definitions.views[PERSON].compiled if name in names_of(one.tree)]
    return [*derived, *(one.name for one in compile_segments(definitions) if name in names_of(one.tree) or name in one.nested)]
