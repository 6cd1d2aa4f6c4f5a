"""Counts the records of whole epochs by source and window: rows of the log in, tallies out. following.py calls it with a part of the log at a time."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.definitions import Definitions
from millrace.events.messages import MessageReader
from millrace.events.sources import NAME
from millrace.identity.nodes import NAMESPACES
from millrace.times import MICROS
from serving.data_health.fields import Field, fields_of
from serving.data_health.tally import OTHER, Tally, lateness_steps
from serving.data_health.values import buckets

DAY = 86_400 * MICROS
Tallies = dict[tuple[int, str], Tally]
"""By start of the window (microseconds) and source."""
EVENT_COLUMNS = ("epoch", "topic", "partition", "offset", "received_at", "event_time", "source", "type", "name", "identifiers", "is_duplicate", "payload")
REJECTED_COLUMNS = ("epoch", "topic", "partition", "offset", "received_at", "source", "reason")


class Slice(NamedTuple):
    """Rows ``start`` to ``end`` belong to a window and a source."""

    key: tuple[int, str]
    start: int
    end: int


class Counting:
    """By the definitions as they are now: what a value is missed by. ``length`` of the windows is in microseconds."""

    def __init__(self, definitions: Definitions, length: int) -> None:
        self.fields: tuple[Field, ...] = fields_of(definitions)
        self._length = length
        self._reader = MessageReader({field.path for field in self.fields})

    def count(self, events: pa.Table, event_times: np.ndarray, rejected: pa.Table, rejected_times: np.ndarray, *, since: int) -> Tallies:
        """``event_times`` and ``rejected_times``: when each row counts; those before ``since`` have been counted."""
        found: Tallies = defaultdict(Tally)
        rejected, times = _after(rejected, rejected_times, since)
        self._count_rejected(found, rejected, self._keys(rejected, times))
        events, times = _after(events, event_times, since)
        keys = self._keys(events, times)
        is_duplicate = events["is_duplicate"].to_numpy()
        for key, start, end in keys.slices:
            found[key].duplicate += int(np.count_nonzero(is_duplicate[keys.order[start:end]]))
        _note_received(found, keys, events)
        chosen = np.flatnonzero(~is_duplicate)
        if len(chosen):
            events = events.take(pa.array(chosen)) if len(chosen) < len(events) else events
            self._count_events(found, events, self._keys(events, times[chosen]))
        return dict(found)

    def _count_rejected(self, found: Tallies, rejected: pa.Table, keys: "Keys") -> None:
        reasons = rejected["reason"].combine_chunks().take(pa.array(keys.order))
        for key, start, end in keys.slices:
            found[key].rejected += end - start
            found[key].reasons.update({reason or OTHER: count for reason, count in _texts(reasons[start:end]).items()})
        _note_received(found, keys, rejected)

    def _count_events(self, found: Tallies, events: pa.Table, keys: "Keys") -> None:
        slices, events = keys.slices, events.take(pa.array(keys.order))
        late = events["received_at"].cast(pa.int64()).to_numpy() - events["event_time"].cast(pa.int64()).to_numpy()
        steps = lateness_steps(late)
        types, names = events["type"].combine_chunks(), pc.fill_null(events["name"].combine_chunks(), "")
        labels = pc.binary_join_element_wise(types, names, " ")
        for key, start, end in slices:
            tally = found[key]
            tally.accepted += end - start
            tally.late += int(np.count_nonzero(late[start:end] > DAY))
            tally.lateness.update(_counts(steps[start:end]))
            tally.types.update(_texts(types[start:end]))
            tally.events.add((name.strip(), count) for name, count in _texts(labels[start:end]).items())
        self._count_namespaces(found, slices, events["identifiers"].combine_chunks())
        self._count_values(found, slices, events, types, names)

    def _count_namespaces(self, found: Tallies, slices: list[Slice], identifiers: pa.ListArray) -> None:
        rows, nodes = pc.list_parent_indices(identifiers).to_numpy(), pc.struct_field(pc.list_flatten(identifiers), "node")
        for namespace in NAMESPACES:
            has = np.zeros(len(identifiers), bool)
            has[rows[pc.fill_null(pc.starts_with(nodes, f"{namespace}:"), False).to_numpy(zero_copy_only=False)]] = True
            for key, start, end in slices:
                found[key].namespaces[namespace] += int(np.count_nonzero(has[start:end]))

    def _count_values(self, found: Tallies, slices: list[Slice], events: pa.Table, types: pa.Array, names: pa.Array) -> None:
        """What a record holds at each field, of the records that the field is of."""
        if not self.fields:
            return
        messages = self._reader.read(events["payload"])
        read: dict[tuple[str, str], np.ndarray] = {}
        for number, field in enumerate(self.fields):
            concerned = np.ones(len(events), bool)
            for column, wanted in ((types, field.type), (names, field.name)):
                if wanted is not None:
                    concerned &= pc.equal(column, wanted).to_numpy(zero_copy_only=False)
            if not concerned.any():
                continue
            place = field.path, field.kind
            if place not in read:
                read[place] = buckets(messages.value(*place))
            for key, start, end in slices:
                if len(values := read[place][start:end][concerned[start:end]]):
                    found[key].fields.setdefault(number, Counter()).update(_counts(values))

    def _keys(self, rows: pa.Table, times: np.ndarray) -> "Keys":
        """Rows by window and source."""
        starts, window = np.unique(times // self._length * self._length, return_inverse=True)
        sources = pc.fill_null(rows["source"].combine_chunks(), OTHER).dictionary_encode()
        names = [called(name) for name in sources.dictionary.to_pylist()]
        source = np.array([sorted({*names}).index(name) for name in names] or [0], np.int64)[sources.indices.to_numpy()]
        codes = window * max(len(names), 1) + source
        order = np.argsort(codes, kind="stable")
        return Keys(order, list(_slices(codes[order], starts.tolist(), sorted({*names}), max(len(names), 1))))


def called(source: str | None) -> str:
    """The source as it is called here: one whose name no declaration could have is one of the others."""
    return source if source is not None and NAME.fullmatch(source) else OTHER


class Keys(NamedTuple):
    """``order`` puts rows of one window and source together, as the slices say."""

    order: np.ndarray
    slices: list[Slice]


def _after(rows: pa.Table, times: np.ndarray, since: int) -> tuple[pa.Table, np.ndarray]:
    kept = times >= since
    return (rows, times) if kept.all() else (rows.filter(pa.array(kept)), times[kept])


def _note_received(found: Tallies, keys: Keys, rows: pa.Table) -> None:
    received = rows["received_at"].cast(pa.int64()).to_numpy()[keys.order]
    for key, start, end in keys.slices:
        found[key].last_received = max(found[key].last_received, int(received[start:end].max()))


def _slices(codes: np.ndarray, starts: list[int], names: list[str], width: int) -> Iterator[Slice]:
    if len(codes):
        ends = [*(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
        for start, end in zip([0, *ends[:-1]], ends, strict=True):
            window, source = divmod(int(codes[start]), width)
            yield Slice((starts[window], names[source]), start, end)


def _counts(values: np.ndarray) -> dict[int, int]:
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist(), strict=True))


def _texts(values: pa.Array) -> Counter[str]:
    return Counter({one["values"]: one["counts"] for one in pc.value_counts(values).to_pylist()})
