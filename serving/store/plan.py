"""Traits of a view compiled for reading: from the slots of a person's nodes to finished values. answers.py calls it.

What depends on the definitions only is worked out once; what depends on the time only is worked out once an hour; a read does the rest.
"""

from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec

from millrace.finish import MICROS, Value, finisher, tile_range, time_text, value_of_nothing, window_end
from millrace.sketches import estimate_union
from millrace.traits import ALL_TIME, HOUR, Trait, View
from serving.store.layout import BLOCK, Layout, Slots

Layer = Literal["batch", "speed", "merged"] | None
Fold = Callable[[list[Any]], Any]
_HOUR = HOUR * MICROS


class TraitAnswer(msgspec.Struct, gc=False):
    """A finished trait: which layers it came from (None: neither has anything) and the time it speaks for."""

    value: Value
    layer: Layer
    as_of: str


class Moment(NamedTuple):
    """What a time of reading means: tiles [first, until) of each (window, hop), and the end of each hop's windows as text."""

    tiles: dict[tuple[int, int], tuple[int, int]]
    ends: dict[int, str]


class AllTime(NamedTuple):
    """A trait over all time, by the slots of its states. ``others``: the second state of an average, with its fold."""

    name: str
    slot: int
    fold: Fold
    others: tuple[tuple[int, Fold], ...]
    finish: Callable[..., Value]
    nothing: Value


ReadWindow = Callable[[list[Slots], list[Slots], Moment], TraitAnswer]


class Plan:
    """How the traits of a view are read."""

    def __init__(self, view: View, layout: Layout) -> None:
        traits = sorted(view.traits.items())
        self._layout = layout
        self._nothing: Slots = [None] * len(layout.slots)
        self._all_time_slots = [number for number, (_, hop) in enumerate(layout.slots) if hop == ALL_TIME]
        self._coarsest = max(view.hops)
        self._windows = {(trait.window_seconds, trait.hop) for _, trait in traits if trait.window}
        self._order: dict[str, TraitAnswer] = dict.fromkeys(view.traits)  # type: ignore[arg-type]
        self._all_time = [_all_time(name, trait, layout) for name, trait in traits if not trait.window]
        self._windowed = [(name, _window_reader(trait, layout)) for name, trait in traits if trait.window]
        self._moment = lru_cache(256)(self._moment_of)

    def read(self, batch: list[Slots], speed: list[Slots], at: int) -> dict[str, TraitAnswer]:
        """Every trait in the order declared, merged over all slots given, as of ``at`` (microseconds)."""
        traits = self._order.copy()
        old, new, now = self._folded(batch), self._folded(speed), time_text(at)
        for name, slot, fold, others, finish, nothing in self._all_time:
            before, after = old[slot], new[slot]
            if after is None:
                layer, state = (None, None) if before is None else ("batch", before)
            else:
                layer, state = ("speed", after) if before is None else ("merged", fold([before, after]))
            if state is None:
                traits[name] = TraitAnswer(nothing, None, now)
            elif others:
                traits[name] = TraitAnswer(finish(state, *[_fold_two(old[number], new[number], more) for number, more in others]), layer, now)
            else:
                traits[name] = TraitAnswer(finish(state), layer, now)
        hour, rest = divmod(at, _HOUR)
        moment = self._moment(hour, rest > 0)
        for name, read_window in self._windowed:
            traits[name] = read_window(batch, speed, moment)
        return traits

    def as_of(self, at: int) -> int:
        """The latest window end a read at ``at`` uses."""
        return window_end(at, self._coarsest)

    def _folded(self, parts: list[Slots]) -> Slots:
        """One list of slots for all parts, right for all time only."""
        if len(parts) < 2:
            return parts[0] if parts else self._nothing
        folded = self._nothing.copy()
        for number in self._all_time_slots:
            states = [state for slots in parts if (state := slots[number]) is not None]
            if states:
                folded[number] = states[0] if len(states) == 1 else self._layout.folds[number](states)
        return folded

    def _moment_of(self, hour: int, is_within: bool) -> Moment:
        """The same for all times within an hour, the full hour itself aside: hops are whole hours."""
        at = hour * _HOUR + is_within
        return Moment(
            {(window, hop): tile_range(at, window=window, hop=hop) for window, hop in self._windows},
            {hop: time_text(window_end(at, hop)) for _, hop in self._windows},
        )


def _all_time(name: str, trait: Trait, layout: Layout) -> AllTime:
    slot, *others = [layout.number[state.name, ALL_TIME] for state in trait.states]
    fold, finish = _fold_and_finish(trait, layout.folds[slot])
    return AllTime(name, slot, fold, tuple((number, layout.folds[number]) for number in others), finish, value_of_nothing(trait))


def _fold_and_finish(trait: Trait, fold: Fold) -> tuple[Fold, Callable[..., Value]]:
    """The fold of a trait's first state and its finisher; sketches stay a list in between, because finishing unites them anyway."""
    if trait.op != "approx_distinct":
        return fold, finisher(trait)
    return list, lambda state: estimate_union(state if isinstance(state, list) else [state])


def _fold_two(before: Any, after: Any, fold: Fold) -> Any:
    if before is None or after is None:
        return before if after is None else after
    return fold([before, after])


def _window_reader(trait: Trait, layout: Layout) -> ReadWindow:
    numbers = [layout.number[state.name, trait.hop] for state in trait.states]
    first_fold, finish = _fold_and_finish(trait, layout.folds[numbers[0]])
    folds, nothing = [first_fold, *(layout.folds[number] for number in numbers[1:])], value_of_nothing(trait)
    window, hop = (trait.window_seconds, trait.hop), trait.hop

    def read(batch: list[Slots], speed: list[Slots], moment: Moment) -> TraitAnswer:
        first, until = moment.tiles[window]
        merged: list[Any] = []
        layer: Layer = None
        for number, fold in zip(numbers, folds, strict=True):
            states = _tiles(batch, number, first, until)
            fresh = _tiles(speed, number, first, until) if speed else None
            if fresh:
                layer = "merged" if states else "speed"
                states += fresh
            elif states:
                layer = "batch"
            else:
                return TraitAnswer(nothing, None, moment.ends[hop])
            merged.append(states[0] if len(states) == 1 else fold(states))
        return TraitAnswer(finish(*merged), layer, moment.ends[hop])

    return read


def _tiles(parts: list[Slots], number: int, first: int, until: int) -> list[Any]:
    """States of the tiles within [first, until), of all parts."""
    found: list[Any] = []
    for slots in parts:
        if (tiles := slots[number]) is not None:
            numbers, states, *unions = tiles
            start = bisect_left(numbers, first)
            if numbers[-1] >= until:
                found += states[start : bisect_left(numbers, until, start)]
            elif unions and (block := -(-start // BLOCK)) < len(unions[0]):
                found += states[start : block * BLOCK]
                found.append(unions[0][block])
            else:
                found += states[start:]
    return found
