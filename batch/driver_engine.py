"""A build in the driver: Arrow tables of the process, merged and compared by the kernels of merging.py, read and written by delta-rs. build.py uses it for what fits."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.counted import POSITION, keys_in_history, repeated_rows
from batch.engines import FIGURES, LOG_COLUMNS, SHOWN, Compared, Slice, T
from batch.log_values import LogValues
from batch.merging import differing_rows, merge_rows
from batch.parts import Part
from batch.respelling import AS_WRITTEN, Respelling
from millrace.definitions import Definitions
from millrace.identity.edges import edges_of
from millrace.tables.catalogue import EVENTS, Table
from millrace.tables.delta import TenantTables, conform
from millrace.tables.ledger import NOTHING
from millrace.traits.dead_tiles import Gone, living
from millrace.traits.fold import fold_events

PARSED_AT_ONCE = 250_000
"""Payloads that are read at a time."""
THREADS = 2
"""Parts worked on at a time: most of the work is in NumPy and Arrow, which leave the interpreter free."""
WRITTEN_AT_ONCE = 100_000
"""Rows that are widened to the table's columns at a time: most columns of a tile are null, and nulls take room in Arrow."""
Folded = dict[str, pa.Table]
"""Rows by the name of their part."""


class DriverEngine:
    """See ``Engine``."""

    def __init__(self, tables: TenantTables, respelling: Respelling = AS_WRITTEN, gone: Gone | None = None) -> None:
        self._tables, self._respelling, self._gone = tables, respelling, gone or {}

    def log_slice(self, definitions: Definitions, *, after: int, until: int, served: int) -> Slice:
        rows = self._events(definitions, after=after, until=until)
        keys = rows["dedup_key"].combine_chunks()
        known, history = keys_in_history(self._tables, keys, until=after) if after > NOTHING else (pa.array([], pa.binary()), 0)
        repeated = repeated_rows(rows, known)
        flagged = rows["is_duplicate"].to_numpy()
        escaped = rows.filter(pc.and_(pa.array(repeated & ~flagged & (rows["epoch"].to_numpy() > served)), rows["node"].is_valid()))
        return Slice(
            counted=rows.filter(pc.and_(pa.array(~repeated), rows["node"].is_valid())),  # without those that were emptied
            escaped=escaped if len(escaped) else None,
            escaped_at=escaped.select(["topic", *POSITION]).slice(0, SHOWN).to_pylist(),
            figures=_figures(rows, repeated=repeated, flagged=flagged),
            history_rows=history,
        )

    def _events(self, definitions: Definitions, *, after: int, until: int) -> pa.Table:
        """The log's rows with typed values."""
        where = (pc.field("epoch") > after) & (pc.field("epoch") <= until)
        found, waiting = [], []
        for batch in self._tables.batches(EVENTS, columns=[*LOG_COLUMNS, "payload"], where=where):
            waiting.append(batch)
            if sum(map(len, waiting)) >= PARSED_AT_ONCE:
                found.append(self._with_values(pa.Table.from_batches(waiting), definitions))
                waiting = []
        if waiting or not found:
            found.append(self._with_values(pa.Table.from_batches(waiting, schema=None if waiting else _log_schema()), definitions))
        return pa.concat_tables(found)

    def _with_values(self, rows: pa.Table, definitions: Definitions) -> pa.Table:
        found = self._respelling.rows(rows).drop_columns(["payload"])
        for name, values in LogValues.of(definitions).columns(rows["payload"], rows["event_time"]).items():
            found = found.append_column(name, values)
        return found

    def fold(self, events: pa.Table, parts: list[Part], *, once: bool) -> Folded:
        return {part.name: edges_of(events, part.quiet) if part.states is None else self._living(fold_events(events, part.states, part.key), part) for part in parts}

    def _living(self, rows: pa.Table, part: Part) -> pa.Table:
        return living(rows.select(part.columns), part.states or {}, self._gone)

    def part_of(self, folded: Folded, part: Part) -> pa.Table:
        return folded[part.name].select(part.columns)

    def read(self, part: Part, *, version: int) -> pa.Table:
        where = None if part.hop is None else pc.field("hop") == part.hop
        return self._living(_typed(self._tables.read(part.batch.name, columns=part.columns, where=where, version=version), part), part)

    def increments(self, part: Part, *, after: int, until: int) -> pa.Table:
        where = (pc.field("epoch") > after) & (pc.field("epoch") <= until)
        where = where if part.hop is None else where & (pc.field("hop") == part.hop)
        return self._living(_typed(self._tables.read(part.speed, columns=part.columns, where=where), part), part)

    def merge(self, part: Part, rows: Sequence[pa.Table]) -> pa.Table:
        return merge_rows(pa.concat_tables([_typed(table, part) for table in rows]), keys=part.keys, kinds=part.kinds)

    def differing(self, part: Part, before: Sequence[pa.Table], after: Sequence[pa.Table]) -> Compared:
        old, new = (pa.concat_tables([_typed(table, part) for table in side]) for side in (before, after))
        differing, rows = differing_rows(old, new, keys=part.keys, kinds=part.kinds)
        return Compared(rows=rows, differing=len(differing), examples=differing.slice(0, SHOWN))

    def write(self, table: Table, rows: Folded | list[pa.Table]) -> int:
        parts = list(rows.values()) if isinstance(rows, dict) else rows
        return self._tables.replace(table, pa.RecordBatchReader.from_batches(table.schema, _widened(parts, table.schema)))

    def side_by_side(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        with ThreadPoolExecutor(THREADS) as pool:
            return [future.result() for future in [pool.submit(job) for job in jobs]]

    def close(self) -> None:
        """Nothing is held outside the process."""


def _log_schema() -> pa.Schema:
    return pa.schema([EVENTS.schema.field(name) for name in (*LOG_COLUMNS, "payload")])


def _typed(rows: pa.Table, part: Part) -> pa.Table:
    return conform(rows, pa.schema([part.batch.schema.field(name) for name in part.columns]))


def _widened(parts: list[pa.Table], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for part in parts:
        for start in range(0, len(part), WRITTEN_AT_ONCE):
            yield from conform(part.slice(start, WRITTEN_AT_ONCE), schema).combine_chunks().to_batches()


def _figures(rows: pa.Table, *, repeated: np.ndarray, flagged: np.ndarray) -> pa.Table:
    columns = {
        "flagged": pa.array(flagged.astype(np.int64)),
        "escaped": pa.array((repeated & ~flagged).astype(np.int64)),
        "missed": pa.array((flagged & ~repeated).astype(np.int64)),
    }
    table = rows.select(["epoch", "topic", "partition", "offset"])
    for name, values in columns.items():
        table = table.append_column(name, values)
    counted = table.group_by(["epoch", "topic", "partition"]).aggregate(
        [([], "count_all"), ("offset", "count_distinct"), *((name, "sum") for name in columns)]
    )  # fmt: skip
    renamed = counted.rename_columns({"count_all": "rows", "offset_count_distinct": "offsets"} | {f"{name}_sum": name for name in columns})
    return conform(renamed, FIGURES)
