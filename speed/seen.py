"""Which messages the speed layer has seen: an index of dedup keys over a bounded horizon, on disk. The epoch asks it which rows are duplicates.

It is derived from log/events and may be deleted at any time. Each key stores the epoch that counted it, so an epoch that is replayed after a
crash does not take its own rows for duplicates.
"""

import logging
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import repeat
from pathlib import Path

import lmdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.settings import DEFAULTS
from millrace.tables.catalogue import EVENTS
from millrace.tables.delta import TenantTables

log = logging.getLogger(__name__)
_EPOCH = struct.Struct(">q")


@dataclass(frozen=True)
class _Databases:
    env: lmdb.Environment
    meta: lmdb._Database
    generations: tuple[lmdb._Database, lmdb._Database]

    def young(self, txn: lmdb.Transaction) -> int:
        return int(txn.get(b"young", b"0", db=self.meta))


class SeenIndex:
    """Keys of the last one to two horizons, in two generations: ``young`` takes new keys; when it is a horizon old it becomes ``old`` and ``old`` is dropped."""

    def __init__(self, path: Path, *, horizon: timedelta = timedelta(seconds=DEFAULTS.stream.dedup_horizon), map_size: int = 1 << 36) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self._path, self._horizon, self._map_size = str(path), horizon, map_size

    @contextmanager
    def _open(self) -> Iterator["_Databases"]:
        """The databases for one operation. Opening takes a fraction of a millisecond, and nothing is left open when a stream ends."""
        with lmdb.open(self._path, map_size=self._map_size, max_dbs=3, sync=False, metasync=False) as env:
            yield _Databases(env, env.open_db(b"meta"), (env.open_db(b"even"), env.open_db(b"odd")))

    def mark(self, keys: pa.Array, epoch: int) -> np.ndarray:
        """True for each row whose key an earlier epoch has counted, or an earlier row of this one; the others are remembered. Rows come in log order."""
        order, again = _ordered(keys)
        repeated = np.zeros(len(keys), dtype=bool)
        repeated[order[again]] = True
        rows, stored = order[~again], _EPOCH.pack(epoch)
        ordered = keys.take(pa.array(rows)).to_pylist()
        with self._open() as found, found.env.begin(write=True) as txn:
            young = found.young(txn)
            before = _known(txn, found.generations[1 - young], ordered, epoch)
            fresh = [(key, stored) for key in ordered if key not in before] if before else list(zip(ordered, repeat(stored)))
            with txn.cursor(found.generations[young]) as cursor:
                _, added = cursor.putmulti(fresh, overwrite=False)
            if added < len(fresh):  # some are there already: of an earlier epoch, or of this one when it runs again
                before |= _known(txn, found.generations[young], ordered, epoch)
            txn.put(b"epoch", stored, db=found.meta)
        if before:
            repeated[rows[[key in before for key in ordered]]] = True
        return repeated

    def rotate(self, received_until: datetime) -> None:
        """Drops the old generation once the young one spans a horizon. Called after the epoch is in the ledger."""
        with self._open() as found, found.env.begin(write=True) as txn:
            since = txn.get(b"since", db=found.meta)
            now = int(received_until.timestamp())
            if since is None:
                txn.put(b"since", _EPOCH.pack(now), db=found.meta)
            elif now - _EPOCH.unpack(since)[0] >= self._horizon.total_seconds():
                old = 1 - found.young(txn)
                txn.drop(found.generations[old], delete=False)
                txn.put(b"young", b"%d" % old, db=found.meta)
                txn.put(b"since", _EPOCH.pack(now), db=found.meta)

    def covers(self, head: int, generation: str) -> bool:
        """Whether the index was built for this generation of the stream and has every epoch up to the head."""
        with self._open() as found, found.env.begin() as txn:
            epoch, built_for = txn.get(b"epoch", db=found.meta), txn.get(b"generation", db=found.meta)
        return built_for == generation.encode() and (epoch is not None and _EPOCH.unpack(epoch)[0] >= head)

    def rebuild(self, tables: TenantTables, head: int, generation: str) -> int:
        """Fills the index anew from log/events within the horizon; returns the number of keys."""
        with self._open() as found, found.env.begin(write=True) as txn:
            for database in (*found.generations, found.meta):
                txn.drop(database, delete=False)
        rows = tables.read(EVENTS, columns=["epoch", "dedup_key", "received_at"], where=pc.field("epoch") <= head)
        if len(rows):
            newest = pc.max(rows["received_at"]).as_py()
            rows = rows.filter(pc.field("received_at") >= pa.scalar(newest - self._horizon)).sort_by([("dedup_key", "ascending"), ("epoch", "ascending")])
        with self._open() as found, found.env.begin(write=True) as txn:
            with txn.cursor(found.generations[0]) as cursor:
                cursor.putmulti(_packed(rows), overwrite=False)
            if len(rows):
                txn.put(b"since", _EPOCH.pack(int(pc.min(rows["received_at"]).as_py().timestamp())), db=found.meta)
            txn.put(b"epoch", _EPOCH.pack(head), db=found.meta)
            txn.put(b"generation", generation.encode(), db=found.meta)
        log.info("seen index rebuilt keys=%d head=%d", len(rows), head)
        return len(rows)


def _ordered(keys: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Rows by key, rows of one key in their own order; and which of these has the key of the one before. A key has 16 bytes."""
    high, low = np.frombuffer(b"".join(keys.to_pylist()), dtype=">u8").reshape(-1, 2).T
    order = np.lexsort((low, high))
    again = np.zeros(len(order), dtype=bool)
    again[1:] = (high[order[1:]] == high[order[:-1]]) & (low[order[1:]] == low[order[:-1]])
    return order, again


def _known(txn: lmdb.Transaction, generation: lmdb._Database, keys: list[bytes], epoch: int) -> set[bytes]:
    """Those of the keys that an earlier epoch has counted."""
    if not txn.stat(generation)["entries"]:
        return set()
    with txn.cursor(generation) as cursor:
        return {key for key, value in cursor.getmulti(keys) if _EPOCH.unpack(value)[0] < epoch}


def _packed(rows: pa.Table) -> Iterable[tuple[bytes, bytes]]:
    return ((key, _EPOCH.pack(epoch)) for key, epoch in zip(rows["dedup_key"].to_pylist(), rows["epoch"].to_pylist(), strict=True))
