"""The ledger: which epochs exist, which offsets they cover, how many records each held. Every reader pins its head before it reads anything else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from millrace.errors import CoverageError
from millrace.identity.spellings import FIRST_NORMALISER, NORMALISER
from millrace.tables.catalogue import LEDGER, LOG_LEDGER
from millrace.tables.delta import TenantTables, conform

DEFAULT_SHARD = "0"
NOTHING = 0
"""The cut and the head before any epoch; epochs count from 1."""
Place = tuple[str, int]
"""Topic and partition."""


class Under(NamedTuple):
    """Hashes of the definitions and of the tracking plan (None: none) under which an epoch was written."""

    definitions_hash: str
    plan_hash: str | None = None


@dataclass(frozen=True)
class Ledger:
    """Rows of the ledger up to its head, checked: epochs without a hole, offsets of each partition joined end to start."""

    rows: pa.Table

    @property
    def head(self) -> int:
        """The last epoch that exists; 0 for none."""
        return pc.max(self.rows["epoch"]).as_py() or NOTHING

    def offsets(self, epoch: int | None = None) -> dict[str, dict[int, int]]:
        """End offset (exclusive) of each partition by topic, at the head or at an earlier epoch."""
        ends: dict[str, dict[int, int]] = {}
        for row in self.until(epoch).to_pylist():
            partitions = ends.setdefault(row["topic"], {})
            partitions[row["partition"]] = max(partitions.get(row["partition"], 0), row["end_offset"])
        return ends

    def offsets_json(self, epoch: int | None = None) -> str:
        return json.dumps({topic: {str(p): end for p, end in sorted(ends.items())} for topic, ends in self.offsets(epoch).items()}, sort_keys=True)

    def counts(self, epoch: int | None = None) -> dict[str, int]:
        """Records accepted, rejected, duplicate, and received (their sum), up to an epoch."""
        rows = self.until(epoch)
        counts = {name: pc.sum(rows[name]).as_py() or 0 for name in ("accepted", "rejected", "duplicate")}
        return counts | {"received": sum(counts.values())}

    def last_under(self, definitions_hash: str, *, after: int) -> int:
        """The head, or the last epoch before one that was written under other definitions, of those after ``after``."""
        other = self.rows.filter((pc.field("epoch") > after) & (pc.field("definitions_hash") != definitions_hash))
        return pc.min(other["epoch"]).as_py() - 1 if len(other) else max(self.head, after)

    def until(self, epoch: int | None) -> pa.Table:
        return self.rows if epoch is None else self.rows.filter(pc.field("epoch") <= epoch)

    def respelt_until(self, normaliser: int) -> int:
        """The last epoch whose identifiers were spelt by the rules of another normaliser; 0 when there is none."""
        other = self.rows.filter(pc.not_equal(pc.fill_null(self.rows["normaliser"], FIRST_NORMALISER), normaliser))
        return pc.max(other["epoch"]).as_py() or NOTHING

    def definitions_since(self, epoch: int) -> set[str]:
        """Hashes of the definitions under which the epochs after ``epoch`` were written."""
        return set(self.rows.filter(pc.field("epoch") > epoch)["definitions_hash"].to_pylist())


def ledger_rows(
    epoch: int, ranges: Mapping[Place, tuple[int, int]], *, under: Under, counts: Mapping[str, Mapping[Place, int]] | None = None, received_until: datetime | None = None
) -> pa.Table:
    """Rows of ``log/ledger`` for an epoch that comes to exist now. ``ranges``: offsets [start, end) by topic and partition; ``counts``: of accepted, rejected and duplicate
    rows, and of accepted ones with a term, 0 where there is none. ``under``: what decided about its records."""
    now = datetime.now(UTC)
    rows = [
        {
            "shard": DEFAULT_SHARD, "epoch": epoch, "topic": place[0], "partition": place[1], "start_offset": start, "end_offset": end,
            **{name: (counts or {}).get(name, {}).get(place, 0) for name in ("accepted", "rejected", "duplicate", "with_term")},
            "definitions_hash": under.definitions_hash, "received_until": received_until, "committed_at": now, "normaliser": NORMALISER, "plan_hash": under.plan_hash,
        }
        for place, (start, end) in sorted(ranges.items())
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=LOG_LEDGER)


def read_ledger(tables: TenantTables, *, shard: str = DEFAULT_SHARD, head: int | None = None) -> Ledger:
    """The ledger of a shard up to ``head`` (default: all). CoverageError names the first hole: fail closed."""
    where = pc.field("shard") == shard
    rows = conform(tables.read(LEDGER, where=where if head is None else where & (pc.field("epoch") <= head)), LEDGER.schema)
    rows = rows.sort_by([("epoch", "ascending"), ("topic", "ascending"), ("partition", "ascending")])
    check_coverage(rows)
    return Ledger(rows)


def check_coverage(rows: pa.Table, *, after: int = NOTHING, ends: dict[tuple[str, int], int] | None = None) -> dict[tuple[str, int], int]:
    """End offset of each (topic, partition) after the rows; CoverageError unless epochs run without a hole and every partition's offsets join.

    An epoch has one row for every partition known so far; a partition that appears later begins at offset 0. A reader that follows the ledger gives
    the epoch it has seen last and the ``ends`` there; without them the rows begin at epoch 1.
    """
    epochs = rows["epoch"].unique().to_pylist()
    for expected, found in enumerate(epochs, start=after + 1):
        if expected != found:
            raise CoverageError(f"the ledger has no epoch {expected} but has epoch {found}; restore log/ledger, answers stop at epoch {expected - 1}")
    ends = dict(ends or {})
    columns = (rows[name].to_pylist() for name in ("epoch", "topic", "partition", "start_offset", "end_offset"))
    by_epoch = groupby(zip(*columns, strict=True), key=itemgetter(0))
    for epoch, group in by_epoch:
        ends |= _epoch_ends(epoch, [row[1:] for row in group], ends)
    return ends


def _epoch_ends(epoch: int, rows: list[tuple[Any, ...]], before: dict[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """End offsets of one epoch from its (topic, partition, start, end), checked against the ends before it."""
    ends: dict[tuple[str, int], int] = {}
    for topic, partition, start, end in rows:
        expected = before.get((topic, partition), 0 if before else start)
        if start != expected or end < start or (topic, partition) in ends:
            raise CoverageError(
                f"epoch {epoch} covers {topic}/{partition} {'twice, the second time ' if (topic, partition) in ends else ''}from offset {start} to {end} "
                f"but the epoch before it ended at {expected}; the ledger is damaged"
            )
        ends[topic, partition] = end
    if missing := sorted(before.keys() - ends.keys()):
        raise CoverageError(f"epoch {epoch} has no row for {missing[0][0]}/{missing[0][1]}, which earlier epochs have; the ledger is damaged")
    return ends
