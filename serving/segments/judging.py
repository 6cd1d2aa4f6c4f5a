"""What is true of one person at one instant: which segments hold, and when that may next change by itself. The follower and the API ask it.

Rules see the same values an answer of the API shows, in the Python form of algebra.py. When values change by themselves turning.py knows.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from millrace.expressions import names_of
from millrace.segments import PERSON_NAME, trait_types
from millrace.traits.algebra import SCALE
from millrace.traits.finish import micros
from millrace.traits.views import View
from serving.segments.rules import Rules
from serving.segments.turning import Turns
from serving.store.answers import Pinned
from serving.store.layout import Layout, Slots, decode
from serving.store.plan import Plan
from serving.store.several import TraitAnswer

Values = dict[str, Any]


class Judgement(NamedTuple):
    """The segments that hold, and the instant from which that may be otherwise although nothing happens (None: never)."""

    names: frozenset[str]
    due: int | None


NOWHERE = Judgement(frozenset(), None)


class Judge:
    """Rules over the values of one view."""

    def __init__(self, view: View, layout: Layout, rules: Rules) -> None:
        self.view, self.rules = view, rules
        types = {name: kind for name, kind in trait_types(view).items() if name in rules.traits and name != PERSON_NAME}
        self._plan = Plan(_only(view, types), layout) if types else None
        self._pythonic = [(name, _FORMS[kind]) for name, kind in types.items()]
        self._turns = Turns(view, layout, rules)
        self._rules = [(segment.name, segment.holds, segment.next_change) for segment in rules.segments]

    def judge(self, pinned: Pinned, at: int) -> Judgement:
        """The verdict about a person as of ``at`` (microseconds)."""
        if not self._rules:
            return NOWHERE
        batch, speed = [decode(slots) for slots in pinned.batch], [decode(slots) for slots in pinned.speed]
        values = self._values(batch, speed, at, pinned.person.id)
        due = self._turns.next(batch, speed, at)
        names = []
        for name, holds, next_change in self._rules:
            if holds(values, at):
                names.append(name)
            moves = next_change(values, at)
            if moves is not None and (due is None or moves < due):
                due = moves
        return Judgement(frozenset(names), due)

    def names(self, pinned: Pinned, at: int, answers: Mapping[str, TraitAnswer] | None = None) -> list[str]:
        """The segments that hold, in order of the name. ``answers``: the traits as of ``at``, where they have been read already."""
        if not self._rules:
            return []
        values = self.values(pinned, at) if answers is None else self._in_python(answers, pinned.person.id)
        return sorted(name for name, holds, _ in self._rules if holds(values, at))

    def answers(self, pinned: Pinned, at: int, asked_at: int = 0) -> dict[str, TraitAnswer]:
        """The traits the rules need as an answer shows them."""
        return self._plan.read([decode(slots) for slots in pinned.batch], [decode(slots) for slots in pinned.speed], at, asked_at) if self._plan else {}

    def values(self, pinned: Pinned, at: int, asked_at: int = 0) -> Values:
        """The same in Python form."""
        return self._in_python(self.answers(pinned, at, asked_at), pinned.person.id)

    def _values(self, batch: list[Slots], speed: list[Slots], at: int, person_id: str) -> Values:
        return self._in_python(self._plan.read(batch, speed, at) if self._plan else {}, person_id)

    def _in_python(self, answers: Mapping[str, TraitAnswer], person_id: str) -> Values:
        """``person`` is his id, for rules that draw lots by it."""
        values: Values = {PERSON_NAME: person_id}
        for name, form in self._pythonic:
            value = answers[name].value
            values[name] = None if value is None else form(value)
        return values


def _only(view: View, names: Collection[str]) -> View:
    """The view with these traits, and those that derived ones among them stand on."""
    derived = {one.name: one for one in view.compiled}
    needed = {*names, *(name for one in derived if one in names for name in derived[one].inputs)}
    inner = {other for one in names if one in derived for other in derived if other in names_of(derived[one].tree)}
    while more := {other for one in inner for other in derived if other in names_of(derived[one].tree)} - inner:
        inner |= more
    kept = {name: view.derived[name] for name in view.derived if name in needed | inner}
    traits = {name: trait for name, trait in view.traits.items() if name in needed} or dict([next(iter(view.traits.items()))])
    return View.model_validate({"key": view.key, "time_zone": view.time_zone, "traits": traits, "derived": kept})


def scaled_text(text: str) -> int:
    """A decimal as ``algebra.plain`` writes it, times 10**9."""
    whole, _, fraction = text.partition(".")
    number = int(whole + fraction.ljust(SCALE, "0")) if fraction else int(whole) * 10**SCALE
    return number


def micros_text(text: str) -> int:
    """A time as ``finish.time_text`` writes it, in microseconds."""
    return micros(datetime.fromisoformat(text).astimezone(UTC))


_FORMS: dict[str, Callable[[Any], Any]] = {
    "integer": int, "number": scaled_text, "text": str, "time": micros_text, "boolean": bool, "list": tuple, "times": lambda found: tuple(micros_text(at) for at in found)
}  # fmt: skip
"""From the value an answer shows to the form rules compute with, by its type in expressions."""
