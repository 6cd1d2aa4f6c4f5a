"""What is true of one person at one instant: which segments hold, and when that may next change by itself. The follower and the API ask it.

Rules see the same values an answer of the API shows, in the Python form of algebra.py. A window changes when a tile of the person leaves or enters it:
tile k of length L leaves a window W at (k + 1) L + W and enters it just after k L (finish.tile_range).
"""

import threading
from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from millrace.algebra import SCALE
from millrace.finish import MICROS, micros, tile_range
from millrace.traits import Trait, View
from serving.segments.rules import Rules
from serving.store.answers import Pinned
from serving.store.layout import Layout, Slots, decode
from serving.store.plan import Plan, TraitAnswer

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
        traits = {name: trait for name, trait in view.traits.items() if name in rules.traits}
        self._plan = Plan(view.model_copy(update={"traits": traits}), layout) if traits else None
        self._pythonic = [(name, pythonic(trait)) for name, trait in traits.items()]
        windowed = [(trait, state) for trait in traits.values() if trait.window for state in trait.states]
        self._windows = sorted({(layout.number[state.name, trait.hop], trait.window_seconds, trait.hop) for trait, state in windowed})
        self._rules = [(segment.name, segment.holds, segment.next_change) for segment in rules.segments]

    def judge(self, pinned: Pinned, at: int) -> Judgement:
        """The verdict about a person as of ``at`` (microseconds)."""
        batch, speed = [decode(slots) for slots in pinned.batch], [decode(slots) for slots in pinned.speed]
        values = self._values(batch, speed, at, pinned.person.id)
        due = self._next_slide([*batch, *speed], at)
        names = []
        for name, holds, next_change in self._rules:
            if holds(values, at):
                names.append(name)
            moves = next_change(values, at)
            if moves is not None and (due is None or moves < due):
                due = moves
        return Judgement(frozenset(names), due)

    def answers(self, pinned: Pinned, at: int) -> dict[str, TraitAnswer]:
        """The traits the rules need as an answer shows them."""
        return self._plan.read([decode(slots) for slots in pinned.batch], [decode(slots) for slots in pinned.speed], at) if self._plan else {}

    def values(self, pinned: Pinned, at: int) -> Values:
        """The same in Python form."""
        return self._values([decode(slots) for slots in pinned.batch], [decode(slots) for slots in pinned.speed], at, pinned.person.id)

    def _values(self, batch: list[Slots], speed: list[Slots], at: int, person_id: str) -> Values:
        """``person`` is his id, for rules that draw lots by it."""
        values: Values = {"person": person_id}
        if self._plan is not None:
            answers = self._plan.read(batch, speed, at)
            for name, form in self._pythonic:
                value = answers[name].value
                values[name] = None if value is None else form(value)
        return values

    def _next_slide(self, parts: list[Slots], at: int) -> int | None:
        """When the first tile leaves or enters a window."""
        due = None
        for slot, window, hop in self._windows:
            first, until = tile_range(at, window=window, hop=hop)
            length = hop * MICROS
            for slots in parts:
                if (tiles := slots[slot]) is None:
                    continue
                numbers = tiles[0]
                place = bisect_left(numbers, first)
                if place < len(numbers) and numbers[place] < until:
                    due = _earlier(due, (numbers[place] + 1) * length + window * MICROS)
                if numbers[-1] >= until:
                    due = _earlier(due, numbers[bisect_left(numbers, until)] * length + 1)
        return due


class Judges:
    """The judge for whatever a person was pinned with; made anew when the version served or the rules change."""

    def __init__(self, rules: Callable[[View], Rules]) -> None:
        self._rules, self._lock = rules, threading.Lock()
        self._made: tuple[Plan, Rules, Judge] | None = None

    def of(self, pinned: Pinned) -> Judge:
        plan = pinned.plan
        rules, made = self._rules(plan.view), self._made
        if made is None or made[0] is not plan or made[1] is not rules:
            self._made = made = plan, rules, Judge(plan.view, plan.layout, rules)
        return made[2]

    def segments(self, pinned: Pinned, at: int) -> list[str]:
        """Names of the segments the person is in, in order of the name."""
        judge = self.of(pinned)
        return sorted(judge.judge(pinned, at).names) if judge.rules.segments else []

    def rules_of(self, pinned: Pinned) -> str:
        """The hash of the rules they stand on; empty when there are none."""
        rules = self.of(pinned).rules
        return rules.hash if rules.segments else ""


def _earlier(one: int | None, other: int) -> int:
    return other if one is None or other < one else one


def pythonic(trait: Trait) -> Callable[[Any], Any]:
    """From the value an answer shows to the form rules compute with."""
    if trait.op in ("count", "approx_distinct"):
        return int
    return {"number": scaled_text, "time": micros_text, "string": str}["number" if trait.op in ("sum", "avg") else trait.resolved_type]


def scaled_text(text: str) -> int:
    """A decimal as ``algebra.plain`` writes it, times 10**9."""
    whole, _, fraction = text.partition(".")
    number = int(whole + fraction.ljust(SCALE, "0")) if fraction else int(whole) * 10**SCALE
    return number


def micros_text(text: str) -> int:
    """A time as ``finish.time_text`` writes it, in microseconds."""
    return micros(datetime.fromisoformat(text).astimezone(UTC))
