"""One epoch of the stream: records in, rows of the log, increments and edges out, the ledger last. The streaming query calls it for each micro-batch.

Everything before the ledger row is invisible to readers; every commit carries (app id, epoch), so an epoch that runs again writes nothing twice.
An epoch may still be writing while Spark parses the next one: what Spark believes to be committed does not matter, the ledger does (speed/recovery.py).
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame

from millrace.definitions import Definitions
from millrace.errors import CoverageError
from millrace.events.standard import EXPIRED, Standardizer
from millrace.faults import crash_point
from millrace.identity.edges import edges_of
from millrace.tables.catalogue import EVENTS, LEDGER, REJECTED, SPEED_EDGES_TABLE, Table, speed_view
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import DEFAULT_SHARD, Ledger, ledger_rows
from millrace.topics import events_topic
from millrace.traits.fold import fold_events
from millrace.traits.views import View
from speed.recovery import Generation
from speed.seen import SeenIndex
from speed.standardizing import StandardizingProcess

log = logging.getLogger(__name__)


@dataclass
class EpochWriter:
    """What one stream needs to process epochs: where to write, under which generation and definitions, and where the ledger stands."""

    tables: TenantTables
    definitions: Definitions
    standardizer: Standardizer | StandardizingProcess
    generation: Generation
    checkpoint: Path
    seen: SeenIndex
    ledger: Ledger
    many: int
    """Records from which on an epoch shows that the stream is behind: then three are under way, one read, one standardised, one written. Otherwise two: a third
    would only wait, and its records with it."""
    overlap: bool = False
    """Whether an epoch is standardised and written while Spark reads the next one; otherwise ``process`` returns when the ledger has it."""
    after_epoch: Callable[[int, pa.Table], None] = lambda epoch, rows: None
    """Told of each epoch, with its standard events, once the ledger has it."""
    head: int = field(init=False)
    ends: dict[tuple[str, int], int] = field(init=False)
    _writing: "Future[None] | None" = field(init=False, default=None)
    _before: "Future[None] | None" = field(init=False, default=None)
    """The writing of the last epoch, and of the one before it."""

    def __post_init__(self) -> None:
        self.head = self.ledger.head
        self.ends = {(topic, partition): end for topic, ends in self.ledger.offsets().items() for partition, end in ends.items()}
        self._reader, self._writer = (ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("standard", "epoch"))

    def process(self, records: DataFrame, batch_id: int) -> None:
        """Writes the epoch of a micro-batch of records (columns/events.py); does nothing when the ledger has it.
        CoverageError when the offsets do not continue the ledger's."""
        epoch = self.generation.epoch_base + batch_id + 1
        ranges = self._ranges(batch_id)
        if epoch <= self.ledger.head:
            self._check_replay(epoch, ranges)
            return
        crash_point("speed.epoch_started")
        started = time.monotonic()
        received = _in_log_order(records.toArrow())
        read_s = time.monotonic() - started
        self.ends.update({key: end for key, (_, end) in ranges.items()})
        standard, before, oldest = self._reader.submit(self.standardizer.standardize, received), self._writing, self._before
        self._before, self._writing = before, self._writer.submit(self._write_after, before, epoch, standard, ranges, read_s=read_s)
        if not self.overlap:
            self.finish()
        elif (awaited := oldest if len(received) >= self.many else before) is not None:
            awaited.result()

    def finish(self) -> None:
        """Waits until the epoch that is being written is in the ledger; raises what went wrong with it."""
        if self._writing is not None:
            self._writing.result()

    def between_epochs(self, work: Callable[[], None]) -> None:
        """Does it when no epoch is being written."""
        self._writer.submit(work).result()

    def failure(self) -> BaseException | None:
        """What went wrong with the last epoch's writing; None while it runs or when it is in the ledger."""
        return self._writing.exception() if self._writing is not None and self._writing.done() else None

    def _write_after(
        self, before: "Future[None] | None", epoch: int, standard: "Future[pa.Table]", ranges: dict[tuple[str, int], tuple[int, int]], *, read_s: float
    ) -> None:
        """Writes an epoch once it is standardised; not after one that could not be written."""
        if before is not None:
            before.result()
        waiting = time.monotonic()
        rows = standard.result()
        writing = time.monotonic()
        self._write(epoch, rows, ranges)
        done = time.monotonic()
        log.info("epoch written epoch=%d rows=%d read_s=%.3f standard_s=%.3f write_s=%.3f", epoch, len(rows), read_s, writing - waiting, done - writing)
        self.after_epoch(epoch, rows)

    def _write(self, epoch: int, rows: pa.Table, ranges: dict[tuple[str, int], tuple[int, int]]) -> None:
        place = {"shard": (DEFAULT_SHARD, pa.string()), "epoch": (epoch, pa.int64()), "topic": (events_topic(self.tables.tenant), pa.string())}
        for name, (value, kind) in place.items():
            rows = rows.append_column(name, _constant(value, len(rows), kind))
        accepted = rows.filter(pc.is_null(rows["reason"])) if rows["reason"].null_count < len(rows) else rows
        rejected = rows.filter(pc.is_valid(rows["reason"])) if rows["reason"].null_count < len(rows) else rows.slice(0, 0)
        is_duplicate = self.seen.mark(accepted["dedup_key"].combine_chunks(), epoch)
        accepted = accepted.append_column("is_duplicate", pa.array(is_duplicate))
        counted = accepted.filter(pa.array(~is_duplicate)) if is_duplicate.any() else accepted
        self._write_tables(epoch, accepted=accepted, counted=counted, rejected=rejected)
        crash_point("speed.increments_written")
        self._write_ledger(epoch, ranges, accepted=counted, duplicate=accepted.filter(pa.array(is_duplicate)), rejected=rejected)
        crash_point("speed.ledger_written")
        if len(rows):
            self.seen.rotate(pc.max(rows["received_at"]).as_py())

    def _write_tables(self, epoch: int, *, accepted: pa.Table, counted: pa.Table, rejected: pa.Table) -> None:
        """Log rows, increments of every view and edges, side by side; returns when all are committed."""
        jobs: dict[Table, Callable[[], pa.Table]] = {
            EVENTS: lambda: accepted,
            REJECTED: lambda: _rejected_rows(rejected),
            SPEED_EDGES_TABLE: lambda: _of_epoch(edges_of(counted, self.definitions.terms), epoch),
        }
        for name, view in self.definitions.views.items():
            jobs[speed_view(name, view)] = lambda view=view: _of_epoch(_increments(counted, view), epoch)
        with ThreadPoolExecutor(len(jobs)) as pool:
            futures = [pool.submit(self._append, table, make, epoch) for table, make in jobs.items()]
        for future in futures:
            future.result()

    def _append(self, table: Table, make: Callable[[], pa.Table], epoch: int) -> None:
        self.tables.append(table, make(), app_id=self.generation.app_id(table), epoch=epoch)
        crash_point(f"speed.appended.{table.name}")

    def _write_ledger(self, epoch: int, ranges: dict[tuple[str, int], tuple[int, int]], **parts: pa.Table) -> None:
        sources = parts["accepted"]["source"].cast(pa.string())  # of an epoch without events: nulls
        with_term = parts["accepted"].filter(pc.is_in(sources, value_set=pa.array(list(self.definitions.terms), pa.string())))
        counts = {name: _by_partition(part) for name, part in {**parts, "with_term": with_term}.items()}
        times = [pc.max(part["received_at"]).as_py() for part in parts.values() if len(part)]
        rows = ledger_rows(epoch, ranges, under=self.generation.under, counts=counts, received_until=max(times, default=None))
        self.tables.append(LEDGER, rows, app_id=self.generation.app_id(LEDGER), epoch=epoch)
        self.head = epoch

    def _ranges(self, batch_id: int) -> dict[tuple[str, int], tuple[int, int]]:
        """Offsets [start, end) of each partition in the micro-batch, from Spark's write-ahead offsets; they must continue the ledger's."""
        ends = read_offsets(self.checkpoint, batch_id)
        before = read_offsets(self.checkpoint, batch_id - 1) if batch_id else {}
        ranges = {key: (before.get(key, self.ends.get(key, 0)), end) for key, end in ends.items()}
        if self.generation.epoch_base + batch_id + 1 > self.ledger.head:
            for key, (start, _) in ranges.items():
                if key in self.ends and self.ends[key] != start:
                    raise CoverageError(
                        f"batch {batch_id} begins at offset {start} of {key[0]}/{key[1]} but the ledger ends at {self.ends[key]}; the checkpoint at "
                        f"{self.checkpoint} does not belong to these tables: move it away, the stream then continues from the ledger"
                    )
        return ranges

    def _check_replay(self, epoch: int, ranges: dict[tuple[str, int], tuple[int, int]]) -> None:
        known = self.ledger.offsets(epoch) if epoch <= self.ledger.head else {}
        for (topic, partition), (_, end) in ranges.items():
            if known and known.get(topic, {}).get(partition) != end:
                raise CoverageError(
                    f"epoch {epoch} ends at offset {known.get(topic, {}).get(partition)} of {topic}/{partition} in the ledger but at {end} in the checkpoint at "
                    f"{self.checkpoint}; the checkpoint does not belong to these tables: move it away, the stream then continues from the ledger"
                )
        log.info("epoch replayed epoch=%d written=False", epoch)


def read_offsets(checkpoint: Path, batch_id: int) -> dict[tuple[str, int], int]:
    """End offsets of a micro-batch from Spark's offset log (a version line, a metadata line, then one JSON line a source)."""
    lines = (checkpoint / "offsets" / str(batch_id)).read_text(encoding="utf-8").splitlines()
    return {(topic, int(partition)): end for topic, ends in json.loads(lines[2]).items() for partition, end in ends.items()}


def _constant(value: object, length: int, kind: pa.DataType) -> pa.Array:
    return pa.repeat(pa.scalar(value, kind), length)


def _increments(counted: pa.Table, view: View) -> pa.Table:
    """Increments of a view. Where not every event has a key, the ledger cannot say how many there must be: a row without a key then shows that they are there."""
    rows = fold_events(counted, view.states, view.keyed)
    return pa.concat_tables([rows, pa.Table.from_pylist([{}], schema=rows.schema)]) if view.keyed.parts else rows


def _of_epoch(rows: pa.Table, epoch: int) -> pa.Table:
    return rows.append_column("epoch", _constant(epoch, len(rows), pa.int64()))


def _in_log_order(rows: pa.Table) -> pa.Table:
    """Rows by (partition, offset). Spark reads a partition of the topic as one task in order, so there is seldom anything to sort."""
    partition, offset = rows["partition"].to_numpy(), rows["offset"].to_numpy()
    rising = (partition[1:] > partition[:-1]) | ((partition[1:] == partition[:-1]) & (offset[1:] > offset[:-1]))
    return rows if rising.all() else rows.sort_by([("partition", "ascending"), ("offset", "ascending")])


def _rejected_rows(rejected: pa.Table) -> pa.Table:
    """With digests. Of what was over before it came, nothing else is kept."""
    digests = [hashlib.sha256(value or b"").hexdigest() for value in rejected["payload"].to_pylist()]
    kept = pc.if_else(pc.equal(rejected["reason"], EXPIRED), pa.scalar(None, rejected["payload"].type), rejected["payload"])
    return rejected.set_column(rejected.column_names.index("payload"), "payload", kept).append_column("digest", pa.array(digests, pa.string()))


def _by_partition(rows: pa.Table) -> dict[tuple[str, int], int]:
    counts = rows.group_by(["topic", "partition"]).aggregate([([], "count_all")])
    return {(row["topic"], row["partition"]): row["count_all"] for row in counts.to_pylist()}
