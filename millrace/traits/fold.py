"""The fold both layers share: counted events in, states of a view out; Arrow in, Arrow out (ADR 0002). Pure: no session, no I/O, no clock.

Speed calls it on the events of one epoch, batch in the driver or through ``mapInArrow`` on slices of the log (batch/engines.py); merging partial results is the
algebra's business. Late and out-of-order events go to the tile of their event time like any other.
"""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.tables.catalogue import TIME, state_type
from millrace.traits.algebra import NUMBER_TYPE, SCALE
from millrace.traits.bounded_columns import counted, distinct_days, latest, square_parts
from millrace.traits.filters import Condition, holds
from millrace.traits.keys import Key
from millrace.traits.lines import PLACE, list_of, reads_lines, with_lines
from millrace.traits.sketches import sketches_of
from millrace.traits.states import Hops, State
from millrace.traits.windows import LOCAL_DAY
from millrace.traits.zones import local_days

Chosen = tuple[tuple[str, ...], str | None, tuple[Condition, ...], bool]
"""What says which events count: names, message type, filter, and whether it is their lines."""
OF_NODES = Key()
PLAIN_PATHS = ("event_time", "received_at", "name", "type", "source")


def value_column(path: str, value_type: str) -> str:
    """Name of the column that carries the typed value at a path."""
    return path if path in PLAIN_PATHS else f"value_{hashlib.sha256(f'{value_type} {path}'.encode()).hexdigest()[:10]}"


def fold_events(events: pa.Table, states: Hops, key: Key = OF_NODES) -> pa.Table:
    """One row per (key, hop, hop_start) that an event touches; a null state is the zero. Events without a key touch none.

    In: node, event_time, partition, offset, type, name, and the value columns of the states and the key (decimals of scale 9, text, times; null when
    unusable). Out: key, hop (seconds, 0 for all time), hop_start, one column a state.
    """
    schema = pa.schema([("key", pa.string()), ("hop", pa.int32()), ("hop_start", TIME), *((state.name, state_type(state)) for state in states)])
    events = with_keys(_with_lines_of(events, states, key), key)
    if not len(events):
        return schema.empty_table()
    lines = [PLACE] if PLACE in events.column_names else []
    needed = ["key", "event_time", "partition", "offset", "type", "name", *lines, *{value_column(*read) for state in states for read in state.reads}]
    ordered = events.select(list(dict.fromkeys(needed))).sort_by([("event_time", "ascending"), ("partition", "ascending"), ("offset", "ascending")]).combine_chunks()
    matched = {_chosen(state): _matches(ordered, state, of_lines=reads_lines(key)) for state in states}
    keys = ordered["key"].combine_chunks().dictionary_encode()
    codes = keys.indices.to_numpy().astype(np.int64)
    clock = Clock(ordered["event_time"].combine_chunks().cast(pa.int64()).to_numpy() // 1_000_000)
    parts = []
    for hop in sorted({hop for kept in states.values() for hop in kept}):
        kept = [state for state in states if hop in states[state]]
        touched = np.flatnonzero(np.logical_or.reduce([matched[_chosen(state)] for state in kept]))
        if len(touched):
            tiles = clock.days(kept[0].zone) if hop == LOCAL_DAY else clock.seconds // hop if hop else np.zeros_like(clock.seconds)
            tiled = Tiled(hop, tiles, touched, codes, keys.dictionary)
            parts.append(_fold_tiles(ordered, states, kept=kept, tiled=tiled, matched=matched, clock=clock))
    return pa.concat_tables([part.cast(schema) for part in parts]) if parts else schema.empty_table()


def _with_lines_of(events: pa.Table, states: Hops, key: Key) -> pa.Table:
    """The events as they are, or, where states or the key read values of lines, a row for each line."""
    reads = {read for reader in (key, *states) for read in reader.reads}
    columns = {value_column(*read) for read in reads if list_of(read[0])}
    if not columns:
        return events
    needed = dict.fromkeys(("node", "event_time", "partition", "offset", "type", "name", *sorted(value_column(*read) for read in reads)))
    return with_lines(events.select(list(needed)), sorted(columns))  # what nobody reads is not repeated for each line


def with_keys(events: pa.Table, key: Key) -> pa.Table:
    """The events that have a key, with a column for it."""
    if not key.parts:
        return events.append_column("key", events["node"])
    columns = [events[value_column(*read)].combine_chunks() for read in key.reads]
    texts = key.texts(columns, events["event_time"].combine_chunks())
    found = events.append_column("key", texts)
    return found.filter(pc.is_valid(texts)) if texts.null_count else found


class Tiled(NamedTuple):
    """Events of one hop: the tile of each, which of them touch a state, and the code of each one's key among the ``names``."""

    hop: int
    tiles: np.ndarray
    touched: np.ndarray
    codes: np.ndarray
    names: pa.Array


class Clock:
    """The times of the events in seconds, and on which local days they are; a zone's days are worked out once."""

    def __init__(self, seconds: np.ndarray) -> None:
        self.seconds = seconds
        self._days: dict[str, np.ndarray] = {}

    def days(self, zone: str) -> np.ndarray:
        if zone not in self._days:
            self._days[zone] = local_days(zone, self.seconds) if zone else self.seconds // 86_400
        return self._days[zone]


def _chosen(state: State) -> Chosen:
    return state.events, state.type, state.where, reads_lines(state)


def _matches(events: pa.Table, state: State, *, of_lines: bool) -> np.ndarray:
    """Whether each row counts for a state: each line, or an event once. ``of_lines``: the key is one of lines, so that each is an occurrence."""
    mask = np.ones(len(events), dtype=bool)
    if PLACE in events.column_names:
        place = events[PLACE].to_numpy()
        mask = place >= 0 if reads_lines(state) else mask if of_lines else place <= 0
    if state.events:
        mask &= _filled(pc.equal(events["type"], "track")) & _filled(pc.is_in(events["name"], value_set=pa.array(state.events, pa.string())))
    if state.type:
        mask &= _filled(pc.equal(events["type"], state.type))
    for condition in state.where:
        mask &= holds(condition, lambda path, kind: events[value_column(path, kind)], mask)
    return mask


def _filled(flags: pa.ChunkedArray) -> np.ndarray:
    return (
        pc.fill_null(flags, False).to_numpy(zero_copy_only=False)
        if isinstance(flags, pa.Array)
        else pc.fill_null(flags, False).combine_chunks().to_numpy(zero_copy_only=False)
    )


def _fold_tiles(events: pa.Table, states: Hops, *, kept: list[State], tiled: Tiled, matched: Mapping[Chosen, np.ndarray], clock: Clock) -> pa.Table:
    """Rows of one hop: groups the touched events by (key, tile), keeping them in time order inside a group."""
    hop, tiles, touched, codes, names = tiled
    lowest = int(tiles[touched].min())
    span = int(tiles[touched].max()) - lowest + 1
    composite = codes[touched] * span + (tiles[touched] - lowest)
    order = np.argsort(composite, kind="stable")
    rows, keys = touched[order], composite[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    group = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(keys)]))
    columns: dict[str, pa.Array] = {
        "key": names.take(pa.array(keys[starts] // span)),
        "hop": pa.array(np.full(len(starts), hop), pa.int32()),
        "hop_start": pa.array((keys[starts] % span + lowest) * abs(hop) * 1_000_000, pa.int64()).cast(TIME),
    }
    for state in states:
        if state not in kept:
            columns[state.name] = pa.nulls(len(starts), state_type(state))
            continue
        usable = matched[_chosen(state)][rows]
        values = events[value_column(state.value, state.value_type)].combine_chunks() if state.value else None
        if values is not None:
            usable = usable & values.is_valid().to_numpy(zero_copy_only=False)[rows]
        days = clock.days(state.zone) if state.kind == "days" else None
        columns[state.name] = _state_column(state, events, values=values, days=days, rows=rows[usable], group=group[usable], groups=len(starts))
    return pa.table(columns)


def _state_column(
    state: State, events: pa.Table, *, values: pa.Array | None, days: np.ndarray | None, rows: np.ndarray, group: np.ndarray, groups: int
) -> pa.Array:  # fmt: skip
    """The state of each group from its usable rows, which come in (group, time) order; null for groups without one."""
    if not len(rows):
        return pa.nulls(groups, state_type(state))
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    ends = np.r_[starts[1:], len(group)]
    if state.kind == "count":
        found = pa.array(ends - starts, pa.int64())
    elif state.kind == "sum":
        found = sums(values.take(pa.array(rows)), starts)
    elif state.kind == "distinct":
        found = sketches_of(values.take(pa.array(rows)), group, starts)
    elif state.kind in ("counts", "spread"):
        found = counted(values.take(pa.array(rows)), np.ones(len(rows), dtype=np.int64), group, is_spread=state.kind == "spread")
    elif state.kind == "squares":
        found = _squares(values.take(pa.array(rows)), starts)
    elif state.kind == "times":
        found = latest(events["event_time"].combine_chunks().take(pa.array(rows)), group)
    elif days is not None:
        found = distinct_days(days[rows], group)
    elif state.kind in ("first", "last"):
        chosen = pa.array(rows[starts] if state.kind == "first" else rows[ends - 1])
        fields = [events[name].combine_chunks().take(chosen) for name in ("event_time", "partition", "offset")] + [values.take(chosen)]
        kind = state_type(state)
        found = pa.StructArray.from_arrays([field.cast(part.type) for field, part in zip(fields, kind, strict=True)], fields=list(kind))
    elif state.value_type == "number" and (words := _words(values.take(pa.array(rows)))) is not None:
        found = _decimals_of_words((np.minimum if state.kind == "min" else np.maximum).reduceat(words, starts))
    else:
        ranks = pc.rank(values.take(pa.array(rows)), tiebreaker="dense").to_numpy()
        by_value = np.lexsort((ranks, group))
        found = values.take(pa.array(rows[by_value[starts] if state.kind == "min" else by_value[ends - 1]]))
    position = np.full(groups, -1)
    position[group[starts]] = np.arange(len(starts))
    return found.cast(state_type(state)).take(pa.array(position, mask=position < 0))


def _squares(values: pa.Array, starts: np.ndarray) -> pa.Array:
    high, low = square_parts(values)
    fields = [decimals(np.add.reduceat(part, starts)) for part in (high * high, high * low, low * low)]
    return pa.StructArray.from_arrays(fields, names=["high", "middle", "low"])


def sums(values: pa.Array, starts: np.ndarray) -> pa.Array:
    """Exact sums of decimals per group: in 64 bits where they provably fit, otherwise in Python integers."""
    low = _words(values)
    if low is not None and max(int(low.max()), -int(low.min())) * len(low) < 1 << 62:
        return _decimals_of_words(np.add.reduceat(low, starts))
    exact = np.array([int(h) * (1 << 64) + (int(w) & (1 << 64) - 1) for w, h in _halves(values)], dtype=object)
    return decimals(np.add.reduceat(exact, starts))


def _halves(values: pa.Array) -> np.ndarray:
    """Low and high 64 bits of decimals."""
    return np.frombuffer(values.cast(NUMBER_TYPE).buffers()[1], dtype=np.int64).reshape(-1, 2)[values.offset : values.offset + len(values)]


def _words(values: pa.Array) -> np.ndarray | None:
    """Decimals as 64-bit integers; None when one does not fit."""
    low, high = _halves(values).T
    return low if np.array_equal(high, low >> 63) else None


def _decimals_of_words(scaled: np.ndarray) -> pa.Array:
    pairs = np.column_stack([scaled, scaled >> 63])
    return pa.Array.from_buffers(NUMBER_TYPE, len(scaled), [None, pa.py_buffer(np.ascontiguousarray(pairs))])


def decimals(scaled: np.ndarray) -> pa.Array:
    """Integers scaled by 10**9 as an Arrow decimal column."""
    words = b"".join(int(value).to_bytes(16, "little", signed=True) for value in scaled)
    return pa.Array.from_buffers(pa.decimal128(38, SCALE), len(scaled), [None, pa.py_buffer(words)])
