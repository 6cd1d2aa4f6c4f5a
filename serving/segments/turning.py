"""When the values of a person become others although nothing happens: tiles leave and enter windows, seconds since an event count up, a day ends. judging.py asks.

What clauses over ``now`` do is not looked at here: rules know that themselves (``next_change``).
"""

from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from millrace.expressions import Node
from millrace.segments import CompiledSegment
from millrace.traits.algebra import UNIT
from millrace.traits.finish import MICROS
from millrace.traits.traits import ALL_TIME, LOCAL_DAY, Trait
from millrace.traits.views import View
from millrace.traits.windows import DAY, Window
from millrace.traits.zones import day_start, local_day
from serving.segments.rules import Rules
from serving.store.layout import Layout, Slots
from serving.store.several import Several

POLL = 3_600 * MICROS
"""How often people are looked at whose values depend on the time in a way that is not followed exactly: derived traits over ``now``, arithmetic with ``time_since``."""
_MINUTE = 60 * MICROS
_COMPARED = frozenset({"eq", "ne", "lt", "le", "gt", "ge", "in"})


@lru_cache(1 << 16)
def leaves(window: Window, tile: int) -> int:
    """The first instant at which a window no longer covers a tile it has covered."""
    return _first(window, tile, 0)


@lru_cache(1 << 16)
def enters(window: Window, tile: int) -> int:
    """The first instant at which a window's end has passed the start of a tile."""
    return _first(window, tile, 1)


def _first(window: Window, tile: int, end: int) -> int:
    """Windows move at full minutes, or just after them: the first such instant at which an end of the window lies behind the tile."""
    length = DAY if window.hop == LOCAL_DAY else window.hop
    low = 2 * ((tile * length - 2 * DAY) * MICROS // _MINUTE)
    step = 1
    while window.tiles(_instant(low + step))[end] <= tile:
        low, step = low + step, step * 2
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if window.tiles(_instant(middle))[end] <= tile:
            low = middle
        else:
            high = middle
    return _instant(high)


def _instant(half_step: int) -> int:
    """Full minutes and the microseconds after them, numbered."""
    return half_step // 2 * _MINUTE + half_step % 2


class Turns:
    """What of the traits that rules need changes with time."""

    def __init__(self, view: View, layout: Layout, rules: Rules) -> None:
        derived = [one for one in view.compiled if one.name in rules.traits]
        names = {*rules.traits, *(name for one in derived for name in one.inputs)}
        traits = {name: trait for name, trait in view.traits.items() if name in names}
        self._windows = sorted(
            {(layout.number[state.name, trait.hop], trait.span) for trait in traits.values() if trait.hop != ALL_TIME for state in trait.states},
            key=lambda pair: (pair[0], pair[1].key),
        )
        marks, self._is_polled = _marks(rules, {name for name, trait in traits.items() if trait.op == "time_since"})
        timed = {name for one in derived for name in one.inputs if traits[name].is_timed}
        self._is_polled |= any(one.looks_at_now for one in derived) or bool(timed)
        self._timed = [(trait, Several(trait, layout), sorted(marks.get(name, ()))) for name, trait in traits.items() if trait.is_timed]

    def next(self, batch: list[Slots], speed: list[Slots], at: int) -> int | None:
        """The earliest instant after ``at`` at which a value may be another one; None for never."""
        due = at + POLL if self._is_polled else None
        for slot, window in self._windows:
            tiles = [slots[slot][0] for slots in (*batch, *speed) if slots[slot] is not None]
            if tiles:
                due = _earlier(due, _next_slide(window, tiles, at))
        for trait, reading, marks in self._timed:
            states, _ = reading.merged(reading.span_at(at), batch, speed)
            if states[0] is not None:
                due = _earlier(due, _next_day(trait, states[0], at) if trait.op == "streak" else _next_mark(marks, states[0][0], at))
        return due


def _next_slide(window: Window, parts: Iterable[list[int]], at: int) -> int | None:
    first, until = window.tiles(at)
    due: int | None = None
    for numbers in parts:
        place = bisect_left(numbers, first)
        if place < len(numbers) and numbers[place] < until:
            due = _earlier(due, leaves(window, numbers[place]))
        if numbers[-1] >= until:
            due = _earlier(due, enters(window, numbers[bisect_left(numbers, until)]))
    return due


def _next_day(trait: Trait, days: list[int], at: int) -> int | None:
    """A streak that lasts until yesterday can still end, one of today will."""
    today = local_day(trait.time_zone, at // MICROS)
    return day_start(trait.time_zone, today + 1) * MICROS if max(days) >= today - 1 else None


def _next_mark(marks: list[int], last: int, at: int) -> int | None:
    """When the seconds since an instant come to one of the numbers they are compared with, or pass it."""
    return min((when for mark in marks for when in (last + mark * MICROS, last + (mark + 1) * MICROS) if when > at), default=None)


def _marks(rules: Rules, names: set[str]) -> tuple[dict[str, set[int]], bool]:
    """Numbers that seconds are compared with, by trait, and whether anything else is done with them."""
    marks: dict[str, set[int]] = {name: set() for name in names}
    is_used_otherwise = False
    for tree in [segment.tree for segment in rules.segments if isinstance(segment, CompiledSegment)] if names else ():
        compared: list[Node] = []
        for node in tree.walk():
            inside = [arg for arg in node.args if arg.op == "name" and arg.value in names]
            if inside and node.op in _COMPARED and all(arg.op in ("name", "literal") for arg in node.args):
                compared += inside
                for arg in inside:
                    marks[arg.value].update(second for other in node.args if other.op == "literal" for second in _seconds(other.value, other.type))
            elif inside and node.op not in ("is_null", "not_null"):
                is_used_otherwise = True
    return marks, is_used_otherwise


def _seconds(value: Any, type: str) -> tuple[int, ...]:
    return (value // UNIT, value // UNIT + 1) if type == "number" else (value,)


def _earlier(one: int | None, other: int | None) -> int | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
