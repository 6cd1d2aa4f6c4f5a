"""Reading traits that are more than the plain finish of one merge, and the parts that plan.py reads all traits with: answers, spans of tiles."""

from bisect import bisect_left
from typing import Any, Literal, NamedTuple

import msgspec

from millrace.traits.finish import Value, show, time_text
from millrace.traits.traits import ALL_TIME, Trait
from millrace.traits.values import Told, tell
from serving.store.layout import BLOCK, Layout, Slots

Layer = Literal["batch", "speed", "merged"] | None


class TraitAnswer(msgspec.Struct, gc=False, omit_defaults=True):
    """A finished trait: which layers it came from (None: neither has anything) and the time it speaks for. ``note``: what limits the value. ``source`` and ``at``: by
    whom and when it was said, for traits that ask for it."""

    value: Value
    layer: Layer
    as_of: str
    note: str | None = None
    source: str | None = None
    at: str | None = None


class Span(NamedTuple):
    """What a window is at a time of reading: tiles [first, until), and its end as text."""

    first: int
    until: int
    end: str


class Several:
    """A trait that is more than the plain finish of one merge, over all time or a window."""

    def __init__(self, trait: Trait, layout: Layout) -> None:
        self._trait, self._is_windowed = trait, trait.hop != ALL_TIME
        numbers = [layout.number[state.name, trait.hop] for state in trait.states]
        self._slots = [(number, layout.folds[number]) for number in numbers]

    def read(self, span: Span, batch: list[Slots], speed: list[Slots], *, at: int, now: str) -> TraitAnswer:
        states, layers = self.merged(span, batch, speed)
        told = self.tell(states, at)
        as_of = span.end if self._is_windowed else now
        return TraitAnswer(
            show(self._trait, told.value), layer_of(layers), as_of, told.note or None, told.source, None if told.at is None else time_text(told.at)
        )

    def merged(self, span: Span, batch: list[Slots], speed: list[Slots]) -> tuple[list[Any], set[str]]:
        """Its states, None for nothing seen, and the layers they come from."""
        states, layers = [], set()
        for slot, fold in self._slots:
            found = []
            for layer, parts in (("batch", batch), ("speed", speed)):
                if there := tiles_inside(parts, slot, span) if self._is_windowed else [slots[slot] for slots in parts if slots[slot] is not None]:
                    found += there
                    layers.add(layer)
            states.append(None if not found else found[0] if len(found) == 1 else fold(found))
        return states, layers

    def tell(self, states: list[Any], at: int) -> Told:
        return tell(self._trait, states, at)

    def holds_until(self, span: Span, parts: list[Slots]) -> int:
        """When the first of its tiles within the span ends its term, in microseconds; 0 when it has none there."""
        tiles = [slots[slot][0] for slot, _ in self._slots for slots in parts if slots[slot] is not None]
        first = min((numbers[place] for numbers in tiles if (place := bisect_left(numbers, span.first)) < len(numbers)), default=span.until)
        return self._trait.span.dies(first) if first < span.until else 0

    def span_at(self, at: int, asked_at: int = 0) -> Span:
        return Span(*self._trait.span.tiles(at, asked_at), "") if self._is_windowed else Span(0, 0, "")

    def end_at(self, at: int) -> int:
        return self._trait.span.end(at)


def layer_of(layers: set[str]) -> Layer:
    return "merged" if len(layers) > 1 else "batch" if "batch" in layers else "speed" if layers else None


def tiles_inside(parts: list[Slots], slot: int, span: Span) -> list[Any]:
    """States of the tiles within the window, of all parts."""
    found: list[Any] = []
    first, until, _ = span
    for slots in parts:
        if (tiles := slots[slot]) is not None:
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
