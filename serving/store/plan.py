"""Traits of a view compiled for reading: from the slots of a person's nodes to finished values. answers.py calls it.

What depends on the definitions only is worked out once; what depends on the time only is worked out once an hour; a read does the rest.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from millrace.traits.derived import evaluate
from millrace.traits.finish import MICROS, Value, finisher, show_as, time_text, value_of_nothing
from millrace.traits.sketches import estimate_union
from millrace.traits.traits import ALL_TIME, Trait
from millrace.traits.values import is_simple
from millrace.traits.views import View
from serving.store.layout import Layout, Slots
from serving.store.several import Layer, Several, Span, TraitAnswer, layer_of, tiles_inside

Fold = Callable[[list[Any]], Any]
_MINUTE = 60 * MICROS
"""Clocks of every time zone change, and every tile ends, at the full minute."""


class Window(NamedTuple):
    """A trait over a window: the slot and fold of its state, and for an average those of the count it is divided by."""

    slot: int
    fold: Fold
    finish: Callable[..., Value]
    nothing: Value
    divisor: tuple[int, Fold] | None


class Plan:
    """How the traits of a view are read."""

    def __init__(self, view: View, layout: Layout) -> None:
        self.view, self.layout = view, layout
        more = {name: trait for name, trait in view.traits.items() if not is_simple(trait)}
        windowed = {name: trait for name, trait in view.traits.items() if trait.hop != ALL_TIME and name not in more}
        all_time = {name: trait for name, trait in view.traits.items() if trait.hop == ALL_TIME and name not in more}
        self._all_time = AllTime(list(all_time.values()), layout)
        self._windowed = [_window(trait, layout) for trait in windowed.values()]
        self._more = [Several(trait, layout) for trait in more.values()]
        self._windows = [trait.span for trait in (*windowed.values(), *more.values())]
        self._names = tuple(view.traits)
        places = [(*all_time, *windowed, *more).index(name) for name in self._names]
        self._as_declared: Callable[[list[TraitAnswer]], Iterable[TraitAnswer]] = itemgetter(*places) if len(places) > 1 else tuple
        self._with_term = [Several(trait, layout) for trait in view.traits.values() if trait.span.term]
        self._spans, self._latest_end = lru_cache(256)(self._spans_of), lru_cache(256)(self._latest_end_of)
        self._derived, self._inputs = view.compiled, {name: Several(view.traits[name], layout) for name in view.inputs}

    def read(self, batch: list[Slots], speed: list[Slots], at: int, asked_at: int = 0) -> dict[str, TraitAnswer]:
        """Every trait in the order of its declaration, merged over all slots given, as of ``at`` (microseconds), without what has a term over when it is asked."""
        now = time_text(at)
        answers = self._all_time.read(batch, speed, now)
        if self._windows:
            minute, rest = divmod(at, _MINUTE)
            spans = self._spans(minute, rest > 0, asked_at // _MINUTE if self._with_term and asked_at > at else 0)
            for window, span in zip(self._windowed, spans, strict=False):
                answers.append(_read_window(window, span, batch, speed))
            for trait, span in zip(self._more, spans[len(self._windowed) :], strict=True):
                answers.append(trait.read(span, batch, speed, at=at, now=now))
        found = dict(zip(self._names, self._as_declared(answers), strict=True))
        return found | self._read_derived(batch, speed, at, asked_at) if self._derived else found

    def holds_until(self, batch: list[Slots], speed: list[Slots], at: int, asked_at: int = 0) -> int:
        """When the first term of anything ends that such an answer stands on (microseconds): it must not be given again from then on. 0 for never."""
        return min((end for trait in self._with_term if (end := trait.holds_until(trait.span_at(at, asked_at), [*batch, *speed]))), default=0)

    def _read_derived(self, batch: list[Slots], speed: list[Slots], at: int, asked_at: int) -> dict[str, TraitAnswer]:
        """Each from the values of the traits it stands on: of their layers, as of the latest of their ends, limited by what limits them."""
        inputs = {name: trait.merged(trait.span_at(at, asked_at), batch, speed) for name, trait in self._inputs.items()}
        told = {name: self._inputs[name].tell(states, at) for name, (states, _) in inputs.items()}
        values = evaluate(self._derived, {name: one.value for name, one in told.items()}, at)
        answers = {}
        for one in self._derived:
            layers = {layer for name in one.inputs for layer in inputs[name][1]}
            end = max((self._inputs[name].end_at(at) for name in one.inputs), default=at)
            note = next((told[name].note for name in one.inputs if told[name].note), None)
            answers[one.name] = TraitAnswer(show_as(one.answers, values[one.name]), layer_of(layers), time_text(end), note)
        return answers

    def as_of(self, at: int) -> str:
        """The latest window end a read at ``at`` uses; ``at`` itself when the view has no windows."""
        minute, rest = divmod(at, _MINUTE)
        return self._latest_end(minute, rest > 0) or time_text(at)

    def _latest_end_of(self, minute: int, is_within: bool) -> str | None:
        """The same for all times within a minute; None without windows."""
        ends = [window.end(minute * _MINUTE + is_within) for window in self._windows if window.hop != ALL_TIME]
        return time_text(max(ends)) if ends else None

    def _spans_of(self, minute: int, is_within: bool, asked: int) -> list[Span]:
        """The same for all times within a minute, the full minute itself aside. ``asked``: the minute of asking, 0 for that of ``at``."""
        at = minute * _MINUTE + is_within
        return [Span(0, 0, "") if window.hop == ALL_TIME else Span(*window.tiles(at, asked * _MINUTE), time_text(window.end(at))) for window in self._windows]


class AllTime:
    """The traits over all time, as columns: a read zips them with the states. An average's state is the pair of its sum and its count."""

    def __init__(self, traits: list[Trait], layout: Layout) -> None:
        self._width = len(layout.slots)
        self._folded = [(number, fold) for number, (fold, (_, hop)) in enumerate(zip(layout.folds, layout.slots, strict=True)) if hop == ALL_TIME]
        self._pairs: list[tuple[int, int]] = []
        slots, self._folds, self._finishes = [], [], []
        for trait in traits:
            slot, *others = [layout.number[state.name, ALL_TIME] for state in trait.states]
            fold, finish = _fold_and_finish(trait, layout.folds[slot])
            if others:
                self._pairs.append((slot, others[0]))
                slot, fold, finish = self._width + len(self._pairs) - 1, _add_pairs, lambda pair, finish=finish: finish(*pair)
            slots.append(slot)
            self._folds.append(fold)
            self._finishes.append(finish)
        self._nothings = [value_of_nothing(trait) for trait in traits]
        self._states: Callable[[Slots], tuple[Any, ...]] = itemgetter(*slots) if len(slots) > 1 else lambda found: tuple(found[slot] for slot in slots)

    def read(self, batch: list[Slots], speed: list[Slots], now: str) -> list[TraitAnswer]:
        old = self._states(self._one(batch))
        if not speed:
            return [
                TraitAnswer(nothing, None, now) if state is None else TraitAnswer(finish(state), "batch", now)
                for state, finish, nothing in zip(old, self._finishes, self._nothings, strict=True)
            ]
        answers = []
        new = self._states(self._one(speed))
        for before, after, fold, finish, nothing in zip(old, new, self._folds, self._finishes, self._nothings, strict=True):
            if after is None:
                answers.append(TraitAnswer(nothing, None, now) if before is None else TraitAnswer(finish(before), "batch", now))
            elif before is None:
                answers.append(TraitAnswer(finish(after), "speed", now))
            else:
                answers.append(TraitAnswer(finish(fold([before, after])), "merged", now))
        return answers

    def _one(self, parts: list[Slots]) -> Slots:
        """One list of slots for all parts, right for all time only, with the pairs behind."""
        slots = parts[0] if len(parts) == 1 else self._fold(parts)
        return slots + [None if slots[total] is None else (slots[total], slots[count]) for total, count in self._pairs] if self._pairs else slots

    def _fold(self, parts: list[Slots]) -> Slots:
        folded: Slots = [None] * self._width
        for number, fold in self._folded if parts else ():
            states = [state for slots in parts if (state := slots[number]) is not None]
            if states:
                folded[number] = states[0] if len(states) == 1 else fold(states)
        return folded


def _add_pairs(pairs: list[tuple[int, int]]) -> tuple[int, int]:
    totals, counts = zip(*pairs, strict=True)
    return sum(totals), sum(counts)


def _fold_and_finish(trait: Trait, fold: Fold) -> tuple[Fold, Callable[..., Value]]:
    """The fold of a trait's first state and its finisher; sketches stay a list in between, because finishing unites them anyway."""
    if trait.op != "approx_distinct":
        return fold, finisher(trait)
    return list, lambda state: estimate_union(state if isinstance(state, list) else [state])


def _window(trait: Trait, layout: Layout) -> Window:
    slot, *others = [layout.number[state.name, trait.hop] for state in trait.states]
    fold, finish = _fold_and_finish(trait, layout.folds[slot])
    return Window(slot, fold, finish, value_of_nothing(trait), (others[0], layout.folds[others[0]]) if others else None)


def _read_window(window: Window, span: Span, batch: list[Slots], speed: list[Slots]) -> TraitAnswer:
    slot, fold, finish, nothing, divisor = window
    states = tiles_inside(batch, slot, span)
    layer: Layer = "batch"
    if speed and (fresh := tiles_inside(speed, slot, span)):
        layer = "merged" if states else "speed"
        states += fresh
    if not states:
        return TraitAnswer(nothing, None, span.end)
    state = states[0] if len(states) == 1 else fold(states)
    if divisor is None:
        return TraitAnswer(finish(state), layer, span.end)
    slot, fold = divisor
    return TraitAnswer(finish(state, fold(tiles_inside(batch, slot, span) + tiles_inside(speed, slot, span))), layer, span.end)
