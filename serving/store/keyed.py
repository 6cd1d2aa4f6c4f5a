"""Views of other keys than persons in the store: stores, campaigns, days. The states of a key are those of the batch version and of the epochs after it, as for a person,
and nobody has to be found first. generation.py holds them, store.py pins them, the API answers with ``Row``.
"""

from collections.abc import Iterable, Mapping
from heapq import merge, nsmallest
from itertools import groupby, islice

import msgspec
import numpy as np
import pyarrow.compute as pc

from millrace.definitions import Definitions
from millrace.tables.catalogue import speed_view
from millrace.tables.delta import TenantTables
from millrace.traits.keys import Key
from millrace.traits.views import View
from serving.store.answers import Point
from serving.store.batch_base import BaseReader
from serving.store.coverage import check_witnesses
from serving.store.layout import Layout, Slots, decode, encode
from serving.store.ledger_tail import milliseconds_since
from serving.store.plan import Plan
from serving.store.receipts import Claims, Receipt, Sealer, receipt_of
from serving.store.several import TraitAnswer
from serving.store.tail import EpochTail

VIEW = "view"
"""What the question of a receipt begins with; the name of the view follows."""
Fresh = Mapping[str, Mapping[str, bytes]]
"""Encoded slots by view and key."""


class PinnedKey(msgspec.Struct, gc=False):
    """Everything an answer about a key needs, taken in one moment. ``batch`` and ``speed`` are encoded slots, none or one each."""

    view: str
    key: str
    keyed: Key
    point: Point
    plan: Plan
    batch: list[bytes]
    speed: list[bytes]


class Row(msgspec.Struct):
    """The answer about one key of a view: its parts by name, every trait, and the receipt."""

    view: str
    key: dict[str, str]
    traits: dict[str, TraitAnswer]
    receipt: Receipt


def row_of(pinned: PinnedKey, *, at: int, now: int, sealer: Sealer) -> Row:
    """The row as of ``at``, asked at ``now`` (microseconds)."""
    return row_with(pinned, at=at, now=now, staleness_ms=milliseconds_since(pinned.point.committed_at, now), sealer=sealer)


def row_with(pinned: PinnedKey, *, at: int, now: int, staleness_ms: int, sealer: Sealer) -> Row:
    """The row with a staleness that is known already: a replay has it from the receipt."""
    point, plan = pinned.point, pinned.plan
    slots = [decode(slots) for slots in pinned.batch], [decode(slots) for slots in pinned.speed]
    traits, until = plan.read(*slots, at, now), plan.holds_until(*slots, at, now)
    claims = Claims(
        pinned.key, point.manifest_id, point.cut, point.head, at, point.definitions_hash, staleness_ms, point.complete, point.decisions, (VIEW, pinned.view), "", until
    )
    parts = dict(zip(pinned.keyed.names, pinned.keyed.values(pinned.key), strict=True))
    return Row(pinned.view, parts, traits, receipt_of(claims, sealer, as_of=plan.as_of(at)))


class KeyedView:
    """One view: what the epochs after the cut add to each of its keys."""

    def __init__(self, name: str, view: View) -> None:
        self.name, self.view, self.keyed = name, view, view.keyed
        self.layout = Layout(view)
        self.plan = Plan(view, self.layout)
        self.table = speed_view(name, view)
        self._slots: dict[str, bytes] = {}

    def pin(self, key: str, reader: BaseReader, point: Point) -> PinnedKey | None:
        """None when no event had the key."""
        batch, speed = reader.keyed(self.name, key), self._slots.get(key)
        if batch is None and speed is None:
            return None
        parts = ([found] if found is not None else [] for found in (batch, speed))
        return PinnedKey(self.name, key, self.keyed, point, self.plan, *parts)

    def keys(self, reader: BaseReader, *, after: str, limit: int) -> list[str]:
        """The next keys in order."""
        fresh = nsmallest(limit, (key for key in self._slots if key > after))
        return [key for key, _ in islice(groupby(merge(islice(reader.keys(self.name, after), limit), fresh)), limit)]

    def on_top(self, found: Mapping[str, Slots]) -> dict[str, bytes]:
        """The slots of these keys with what is new."""
        return {key: encode(slots if (before := self._slots.get(key)) is None else self.layout.merge(decode(before), slots)) for key, slots in found.items()}

    def take(self, slots: Mapping[str, bytes]) -> None:
        self._slots.update(slots)


class KeyedViews:
    """All such views of a generation. ``prepare`` belongs to one thread; ``apply``, ``pin`` and ``keys`` need the store's lock."""

    def __init__(self, tables: TenantTables, definitions: Definitions) -> None:
        self._tables = tables
        self._views = {name: KeyedView(name, view) for name, view in definitions.views.items() if view.keyed.parts}
        self._tails: dict[str, EpochTail] = {}

    def get(self, name: str) -> KeyedView | None:
        return self._views.get(name)

    def drop(self, names: Iterable[str]) -> None:
        """Views that are declared otherwise by now: the stream no longer counts for them as they are served."""
        self._views = {name: view for name, view in self._views.items() if name not in set(names)}

    def start_over(self, head: int) -> None:
        """Looks at the speed tables afresh, from the head on."""
        self._tails = {name: EpochTail(self._tables, view.table, after=head) for name, view in self._views.items()}

    def prepare(self, accepted: np.ndarray, *, after: int, upto: int) -> Fresh:
        """What the epochs (after, upto] make of the keys they touch. CoverageError when a speed table does not hold what the ledger counted."""
        found = {}
        for name, view in self._views.items():
            tail = self._tails[name]
            tail.refresh()
            rows = tail.rows(upto)
            check_witnesses(rows, accepted, after=after, where=view.table.name)
            found[name] = view.on_top(view.layout.fold(rows.filter(pc.is_valid(rows["key"]))))
        return found

    def apply(self, found: Fresh) -> None:
        for name, slots in found.items():
            if (view := self._views.get(name)) is not None:
                view.take(slots)

    def taken(self, head: int) -> None:
        """What has been applied may be forgotten."""
        for tail in self._tails.values():
            tail.taken(head)
