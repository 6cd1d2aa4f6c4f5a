"""A build on the executors: frames partitioned by key, each partition merged or compared by the kernels of merging.py. build.py uses it for what does not fit the driver."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from batch.arrow_partitions import each, slices, whole
from batch.counted import POSITION, judged
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
from millrace.traits.dead_tiles import Gone, last_dead, living
from millrace.traits.fold import fold_events
from millrace.traits.traits import State

FOLDED_AT_ONCE = 1_000_000
"""Events of a partition that are folded together; the partial rows of a larger partition (one very busy node) are merged in it."""
_WORKING = {
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
}
"""Settings of a build's own session: the stream beside it needs others."""


def working_session(spark: SparkSession, partitions: int) -> SparkSession:
    """A session of its own for a build, whose shuffles have so many partitions."""
    session = spark.newSession()
    for name, value in _WORKING.items():
        session.conf.set(name, value)
    session.conf.set("spark.sql.shuffle.partitions", partitions)
    return session


class SparkEngine:
    """See ``Engine``. ``partitions``: how many the rows are spread over; each is one Arrow table in a Python worker at a time."""

    def __init__(self, spark: SparkSession, tables: TenantTables, *, partitions: int, respelling: Respelling = AS_WRITTEN, gone: Gone | None = None) -> None:
        self._spark, self._tables, self._partitions, self._respelling, self._gone = spark, tables, partitions, respelling, gone or {}
        self._kept: list[DataFrame] = []

    def log_slice(self, definitions: Definitions, *, after: int, until: int, served: int) -> Slice:
        log = self._spark.read.format("delta").load(self._tables.path(EVENTS))
        history = log.filter(F.col("epoch") <= after) if after > NOTHING else None
        rows = with_values(respelt(log.filter((F.col("epoch") > after) & (F.col("epoch") <= until)), self._respelling), LogValues.of(definitions))
        marked = self._keep(judged(rows, history).repartition(self._partitions, "node"))
        escaped = marked.filter(F.col("repeated") & ~F.col("is_duplicate") & (F.col("epoch") > served) & F.col("node").isNotNull())
        at = escaped.select("topic", *POSITION).orderBy(*POSITION).limit(SHOWN).toArrow().to_pylist()
        return Slice(
            counted=marked.filter(~F.col("repeated") & F.col("node").isNotNull()),  # without those that were emptied
            escaped=escaped if at else None,
            escaped_at=at,
            figures=_figures(marked),
            history_rows=history.count() if history is not None else 0,
        )

    def fold(self, events: DataFrame, parts: list[Part], *, once: bool) -> DataFrame:
        (table,) = {part.batch for part in parts}
        if parts[0].states is None:
            (part,) = parts
            narrow = events.select("identifiers", "event_time", "epoch", "partition", "offset", "source")
            return self.merge(part, [narrow.mapInArrow(whole(partial(edges_of, quiet=part.quiet)), ddl(part.batch.schema))])
        states: dict[State, frozenset[int]] = {}
        for part in parts:
            for state, hops in (part.states or {}).items():
                states[state] = states.get(state, frozenset()) | hops
        states = {state: states[state] for state in sorted(states)}
        kinds = {state.name: state.kind for state in states}
        keys, key, gone = parts[0].keys, parts[0].key, self._gone

        def fold_partition(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            folded = [fold_events(slice_, states, key) for slice_ in slices(batches, FOLDED_AT_ONCE)]
            rows = folded[0] if len(folded) == 1 else merge_rows(pa.concat_tables(folded), keys=keys, kinds=kinds) if folded else None
            yield from living(rows, states, gone).to_batches(max_chunksize=50_000) if rows is not None else []

        frame = events.drop("identifiers", "dedup_key", "topic", "is_duplicate", "repeated").mapInArrow(fold_partition, ddl(table.schema))
        if key.parts:  # events of one node are in one partition, those of another key are not
            frame = self._by_key(parts[0], frame).mapInArrow(whole(partial(merge_rows, keys=keys, kinds=kinds)), ddl(table.schema))
        return frame if once else self._keep(frame)

    def part_of(self, folded: DataFrame, part: Part) -> DataFrame:
        return _rows_of(folded, part)

    def read(self, part: Part, *, version: int) -> DataFrame:
        return self._living(_rows_of(self._spark.read.format("delta").option("versionAsOf", version).load(self._tables.path(part.batch)), part), part)

    def increments(self, part: Part, *, after: int, until: int) -> DataFrame:
        rows = self._spark.read.format("delta").load(self._tables.path(part.speed))
        return self._living(_rows_of(rows.filter((F.col("epoch") > after) & (F.col("epoch") <= until)), part), part)

    def _living(self, rows: DataFrame, part: Part) -> DataFrame:
        gone, states = self._gone, part.states or {}
        if part.hop is None or all(last_dead(state, part.hop, gone) is None for state in states):
            return rows
        return rows.mapInArrow(each(lambda table: living(table, states, gone)), ddl(_schema(part)))

    def merge(self, part: Part, rows: Sequence[DataFrame]) -> DataFrame:
        kernel = partial(merge_rows, keys=part.keys, kinds=part.kinds)
        return self._by_key(part, _union(rows)).mapInArrow(whole(kernel), ddl(_schema(part)))

    def differing(self, part: Part, before: Sequence[DataFrame], after: Sequence[DataFrame]) -> Compared:
        keys = pa.schema([part.batch.schema.field(name) for name in part.keys])
        found = pa.schema([*keys, ("columns", pa.string()), ("compared", pa.int64()), ("differing", pa.int64())])

        def kernel(table: pa.Table) -> pa.Table:
            sides = [table.filter(pc.equal(table["side"], side)) for side in (0, 1)]
            differing, rows = differing_rows(*sides, keys=part.keys, kinds=part.kinds)
            summary = pa.Table.from_pylist([{"compared": rows, "differing": len(differing)}], schema=found)
            return pa.concat_tables([summary, conform(differing.slice(0, SHOWN), found)])

        sides = [_union(side).select("*", F.lit(number).alias("side")) for number, side in enumerate((before, after))]
        rows = self._by_key(part, _union(sides)).mapInArrow(whole(kernel), ddl(found)).toArrow()
        compared, differing = (pc.sum(rows[name]).as_py() or 0 for name in ("compared", "differing"))
        return Compared(rows=compared, differing=differing, examples=rows.filter(rows["columns"].is_valid()).select([*part.keys, "columns"]).slice(0, SHOWN))

    def write(self, table: Table, rows: DataFrame | list[DataFrame]) -> int:
        frames = rows if isinstance(rows, list) else [rows]
        wide = _union([_with_columns(frame, table.schema) for frame in frames])
        wide.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(self._tables.path(table))
        return DeltaTable(self._tables.path(table)).version()

    def side_by_side(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        return [job() for job in jobs]

    def close(self) -> None:
        """Frees what was kept for later steps."""
        while self._kept:
            self._kept.pop().unpersist()

    def _keep(self, frame: DataFrame) -> DataFrame:
        self._kept.append(frame.persist())
        return frame

    def _by_key(self, part: Part, rows: DataFrame) -> DataFrame:
        return rows.repartition(self._partitions, *part.keys)


def respelt(log: DataFrame, respelling: Respelling) -> DataFrame:
    """Rows of the log with payloads, epochs under another normaliser with today's identifiers; only their rows go through Python."""
    rows = log.select(*LOG_COLUMNS, "payload")
    if not respelling.until:
        return rows
    old = rows.filter(F.col("epoch") <= respelling.until)
    kernel = each(lambda table: respelling.rows(table))
    return rows.filter(F.col("epoch") > respelling.until).unionByName(old.mapInArrow(kernel, old.schema))


def with_values(log: DataFrame, values: LogValues) -> DataFrame:
    """The log's rows with typed values in the place of their payloads: only payloads and times go to Python and only values come back."""
    kinds = values.types()
    if not kinds:
        return log.select(*LOG_COLUMNS)

    def read(payloads: pa.Array, times: pa.Array) -> pa.Array:
        found = values.columns(pa.chunked_array([payloads]), times)
        return pa.StructArray.from_arrays(list(found.values()), names=list(found))

    found = F.arrow_udf(read, ddl(pa.schema([*kinds.items()])))("payload", "event_time").alias("values")
    return log.select(*LOG_COLUMNS, found).select(*LOG_COLUMNS, *(f"values.{name}" for name in kinds))


def ddl(schema: pa.Schema) -> str:
    """The schema as Spark writes it."""
    return ", ".join(f"`{field.name}` {_spark_type(field.type)}" for field in schema)


def _spark_type(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return f"STRUCT<{', '.join(f'`{kind.field(n).name}`: {_spark_type(kind.field(n).type)}' for n in range(kind.num_fields))}>"
    if pa.types.is_list(kind):
        return f"ARRAY<{_spark_type(kind.value_type)}>"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP"
    return {pa.string(): "STRING", pa.int64(): "BIGINT", pa.int32(): "INT", pa.binary(): "BINARY", pa.bool_(): "BOOLEAN"}[kind]


def _schema(part: Part) -> pa.Schema:
    return pa.schema([part.batch.schema.field(name) for name in part.columns])


def _rows_of(frame: DataFrame, part: Part) -> DataFrame:
    rows = frame if part.hop is None else frame.filter(F.col("hop") == part.hop)
    return rows.select(*(F.col(f"`{name}`") for name in part.columns))


def _with_columns(frame: DataFrame, schema: pa.Schema) -> DataFrame:
    have = set(frame.columns)
    absent = {field.name: F.lit(None).cast(_spark_type(field.type)).alias(field.name) for field in schema if field.name not in have}
    return frame.select(*(absent.get(name, F.col(f"`{name}`")) for name in schema.names))


def _union(frames: Sequence[DataFrame]) -> DataFrame:
    first, *others = frames
    for other in others:
        first = first.unionByName(other)
    return first


def _figures(marked: DataFrame) -> pa.Table:
    """Distinct offsets are counted exactly in bitmaps of 32,768 offsets: no offset is sent through a shuffle."""

    def number(flag: Column) -> Column:
        return F.sum(flag.cast("bigint"))

    keys = ["epoch", "topic", "partition"]
    flagged, repeated = F.col("is_duplicate"), F.col("repeated")
    buckets = marked.groupBy(*keys, F.bitmap_bucket_number("offset").alias("bucket")).agg(
        F.count(F.lit(1)).alias("rows"), number(flagged).alias("flagged"), F.bitmap_count(F.bitmap_construct_agg(F.bitmap_bit_position("offset"))).alias("offsets"),
        number(repeated & ~flagged).alias("escaped"), number(flagged & ~repeated).alias("missed"),
    )  # fmt: skip
    figures = buckets.groupBy(*keys).agg(*(F.sum(name).alias(name) for name in FIGURES.names if name not in keys))
    return conform(figures.toArrow(), FIGURES)
