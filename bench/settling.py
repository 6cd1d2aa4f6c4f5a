"""Settling memberships at a publish: the work when 1 % of the people have changed since the one before ÷ the work for everybody; 100 segments, a million people.

The follower's own code over bases that are written directly: Spark and the collector have no part in what is measured, and a million people would take them
longer than the measurement. Both settlements are those of the product: for everybody after a restart, for some at the next publish. CPU seconds of the follower's
thread, so that what else the machine does counts for neither. bench/run.py calls ``measure``.
"""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.bases import write_base
from bench.lookup_tables import CUT, DEFINITIONS, VIEW, publish, view_rows, write_epoch
from bench.memberships import declare
from millrace.tables.catalogue import LEDGER, SEGMENT_SETTLEMENTS, SPEED_EDGES_TABLE, speed_view
from millrace.tables.delta import TenantTables
from serving.segments.following import SegmentFollower
from serving.segments.parts import Parts
from serving.segments.state import Row
from serving.segments.watching import Watch
from serving.store.layout import Layout, decode, encode
from serving.store.store import now_micros

MUST, AIM = 0.1, 0.06
PROFILES, CHANGED, PATTERNS = 1_000_000, 0.01, 500


def measure(profiles: int = PROFILES) -> dict[str, Any]:
    """CPU seconds; ``runs``: both settlements with the persons looked at."""
    with tempfile.TemporaryDirectory() as folder:
        tenant = Tenant(Path(folder), profiles)
        watch = Watch(declare(Path(folder) / "definitions"))
        parts = Parts(tenant.tables, Unheard(), watch.definitions, watch.rules, secret=b"bench", clock=now_micros, poll_s=0.01)
        tenant.publish()
        until_settled(SegmentFollower(parts), 1).close()
        tenant.publish()
        began = SegmentFollower(parts)
        started = time.thread_time()
        follower = until_settled(began, 2)
        full = time.thread_time() - started
        tenant.change(int(profiles * CHANGED))
        while follower._generation.head < tenant.epoch:
            follower.round()
        tenant.publish()
        started = time.thread_time()
        until_settled(follower, 3).close()
        some = time.thread_time() - started
        runs = [looked_at(tenant.tables, number) | {"cpu_s": round(cpu_s, 2)} for number, cpu_s in ((2, full), (3, some))]
    return {"ratio": some / full, "value": some, "baseline": full, "must": MUST, "aim": AIM, "runs": runs, "profiles": profiles}


def until_settled(follower: SegmentFollower, manifest_id: int) -> SegmentFollower:
    while follower._state.position.settled != manifest_id:
        if not follower.round():
            time.sleep(0.01)
    return follower


def looked_at(tables: TenantTables, manifest_id: int) -> dict[str, int]:
    """Persons looked at and others; RuntimeError when anything was held wrongly."""
    rows = [row for row in tables.read(SEGMENT_SETTLEMENTS).to_pylist() if row["manifest_id"] == manifest_id]
    if wrong := [row for row in rows if row["missing"] or row["extra"]]:
        raise RuntimeError(f"differences at manifest {manifest_id}: {wrong[:3]}")
    return {"persons": rows[0]["persons"], "unchanged": rows[0]["unchanged"]}


class Unheard:
    """A topic nobody reads: Kafka has no part in what is measured."""

    def publish(self, batch: int, rows: Sequence[Row]) -> None: ...

    def last_published(self) -> int:
        return 0

    def close(self) -> None: ...


class Tenant:
    """A tenant whose bases are written directly; each of the people has the states of one of ``PATTERNS`` others, and what changes of them on top."""

    def __init__(self, folder: Path, profiles: int) -> None:
        self.tables = TenantTables(folder, "bench")
        self.epoch, self._published = CUT, 0
        self._rng, self._layout = np.random.default_rng(5), Layout(VIEW)
        self._nodes = [f"user_id:{number:08x}{'0' * 24}" for number in range(profiles)]
        patterns = self._layout.fold(view_rows(self._nodes[:PATTERNS], self._rng, tiles=(6, 2)))
        self._patterns = [encode(self._layout.with_unions(slots)) for slots in patterns.values()]
        self._changed: dict[str, bytes] = {}
        for table in (speed_view("person", VIEW), SPEED_EDGES_TABLE, LEDGER):
            self.tables.create(table)
        write_epoch(self.tables, CUT, [], rng=self._rng)

    def change(self, people: int, at_once: int = 500) -> None:
        """Orders of some of the people, in epochs; from the next version on they are in the base."""
        chosen = self._rng.choice(len(self._nodes), people, replace=False).tolist()
        for start in range(0, people, at_once):
            self.epoch += 1
            write_epoch(self.tables, self.epoch, [self._nodes[at] for at in chosen[start : start + at_once]], rng=self._rng)
        fresh = self._layout.fold(self.tables.read(speed_view("person", VIEW)))
        for at in chosen:
            slots = self._layout.merge(self._layout.without_unions(decode(self._pattern(at))), fresh[self._nodes[at]])
            self._changed[self._nodes[at]] = encode(self._layout.with_unions(slots))

    def publish(self) -> None:
        """The next version, up to the last epoch, and its base."""
        self._published += 1
        publish(self.tables, self._published, {}, cut=self.epoch, definitions=DEFINITIONS)
        slots = ((node, self._changed.get(node) or self._pattern(at)) for at, node in enumerate(self._nodes))
        write_base(self.tables, self._published, self._nodes, slots)

    def _pattern(self, at: int) -> bytes:
        return self._patterns[at % len(self._patterns)]


if __name__ == "__main__":
    import json
    import sys

    print(json.dumps(measure(*map(int, sys.argv[1:])), indent=1))
