"""How the states of one node are kept: a list with one slot for each (state, hop), as compact bytes in LMDB and in memory. Base, increments and replay use it.

A slot is None (nothing seen), for all time the state itself, for tiles ``[numbers, states]`` in order of the tile number. States are in the Python
form of algebra.py; sums beyond 64 bits are a MessagePack extension. Tiles of sketches in a base may have a third list: the union of all tiles from
the first, the ninth, … on, so that a window that ends now unites few sketches instead of one a day.
"""

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from millrace.traits.algebra import KINDS
from millrace.traits.finish import MICROS
from millrace.traits.python_states import python_states
from millrace.traits.sketches import merge_sketches
from millrace.traits.states import State
from millrace.traits.traits import ALL_TIME
from millrace.traits.views import View

Slots = list[Any]
BLOCK = 8
_BIG = 1


def _big_number(code: int, data: memoryview) -> int:
    return int.from_bytes(data, "big", signed=True)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ext_hook=_big_number)
decode: Callable[[bytes], Slots] = _decoder.decode
"""Slots from their bytes."""


def encode(slots: Slots) -> bytes:
    """Slots as bytes; equal slots give equal bytes."""
    try:
        return _encoder.encode(slots)
    except OverflowError:
        return _encoder.encode(_with_big_numbers(slots))


def _with_big_numbers(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_with_big_numbers(item) for item in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return msgspec.msgpack.Ext(_BIG, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
    return value


class Layout:
    """The slots of a view, in one order for everybody: by state, then by hop."""

    def __init__(self, view: View) -> None:
        self.slots: tuple[tuple[State, int], ...] = tuple((state, hop) for state, hops in view.states.items() for hop in sorted(hops))
        self.number = {(state.name, hop): number for number, (state, hop) in enumerate(self.slots)}
        ordinary = [trait.of_sources for trait in view.traits.values() if not (trait.party or trait.sources)]
        self.ordinary = ordinary[0] if ordinary else ()
        """Which sources count where a trait says nothing of them: those without a term."""
        self.folds: tuple[Callable[[list[Any]], Any], ...] = tuple(KINDS[state.kind].fold for state, _ in self.slots)

    def fold(self, rows: pa.Table) -> dict[str, Slots]:
        """Slots of each key from rows of the view, in any order, with any number of rows for one tile."""
        if not len(rows):
            return {}
        keys = rows["key"].combine_chunks().dictionary_encode()
        codes, hops, starts = keys.indices.to_numpy(), rows["hop"].to_numpy(), rows["hop_start"].cast(pa.int64()).to_numpy()
        found: list[Slots] = [[None] * len(self.slots) for _ in range(len(keys.dictionary))]
        columns = {state.name: rows[state.name].combine_chunks() for state, _ in self.slots}
        valid = {name: column.is_valid().to_numpy(zero_copy_only=False) for name, column in columns.items()}
        for number, (state, hop) in enumerate(self.slots):
            places = np.flatnonzero(valid[state.name] & (hops == hop))
            if not len(places):
                continue
            tiles = starts[places] // (abs(hop) * MICROS) if hop else np.zeros_like(places)
            order = np.lexsort((tiles, codes[places]))
            places, tiles = places[order], tiles[order]
            values = python_states(columns[state.name].take(pa.array(places)), state)
            self._fill(found, number, codes=codes[places], tiles=tiles, values=values)
        return dict(zip(keys.dictionary.to_pylist(), found, strict=True))

    def merge(self, left: Slots, right: Slots) -> Slots:
        """Slots that hold what both hold; neither argument may be used afterwards."""
        for number, theirs in enumerate(right):
            if theirs is None:
                continue
            ours = left[number]
            if ours is None:
                left[number] = theirs
            elif self.slots[number][1] == ALL_TIME:
                left[number] = self.folds[number]([ours, theirs])
            else:
                for tile, state in zip(*theirs, strict=True):
                    self._add_tile(ours, tile, state, self.folds[number])
        return left

    def with_unions(self, slots: Slots) -> Slots:
        """The slots with what speeds up reading them; nothing may be merged into them afterwards."""
        for number, (state, hop) in enumerate(self.slots):
            if state.kind == "distinct" and hop != ALL_TIME and slots[number] is not None and len(slots[number][1]) >= BLOCK:
                slots[number] = [*slots[number], unions_from_the_end(slots[number][1])]
        return slots

    def without_unions(self, slots: Slots) -> Slots:
        """The slots as ``with_unions`` got them."""
        return [slot if slot is None or hop == ALL_TIME else slot[:2] for slot, (_, hop) in zip(slots, self.slots, strict=True)]

    def _fill(self, found: list[Slots], number: int, *, codes: np.ndarray, tiles: np.ndarray, values: list[Any]) -> None:
        """Puts the states of one slot, in order of key and tile, where they belong; states of the same tile are folded."""
        fold = self.folds[number]
        begins = np.flatnonzero(np.r_[True, (codes[1:] != codes[:-1]) | (tiles[1:] != tiles[:-1])])
        if len(begins) < len(values):
            values = [fold(values[begin:end]) for begin, end in zip(begins, [*begins[1:], len(values)], strict=True)]
            codes, tiles = codes[begins], tiles[begins]
        if self.slots[number][1] == ALL_TIME:
            for code, value in zip(codes.tolist(), values, strict=True):
                found[code][number] = value
            return
        numbers = tiles.tolist()
        firsts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]]).tolist()
        for code, begin, end in zip(codes[firsts].tolist(), firsts, [*firsts[1:], len(values)], strict=True):
            found[code][number] = [numbers[begin:end], values[begin:end]]

    @staticmethod
    def _add_tile(tiles: list[list[Any]], tile: int, state: Any, fold: Callable[[list[Any]], Any]) -> None:
        numbers, states = tiles
        if tile > numbers[-1]:
            numbers.append(tile)
            states.append(state)
            return
        place = bisect_left(numbers, tile)
        if numbers[place] == tile:
            states[place] = fold([states[place], state])
        else:
            numbers.insert(place, tile)
            states.insert(place, state)


def unions_from_the_end(sketches: list[bytes]) -> list[bytes]:
    """For every ``BLOCK``-th sketch the union of it and all after it."""
    unions: list[bytes] = []
    for start in reversed(range(0, len(sketches), BLOCK)):
        unions.append(merge_sketches(sketches[start : start + BLOCK] + unions[-1:]))
    return unions[::-1]
