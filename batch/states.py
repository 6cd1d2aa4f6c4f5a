"""Batch states at a cut: views and edges, from the log alone or from the version before plus the log between the cuts. batch/build.py calls it."""

from dataclasses import dataclass

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from batch.counted import Counted, counted_events
from millrace.columns.events import parse_messages
from millrace.columns.fold import merge_states, partial_states, value_paths
from millrace.columns.identity import merge_edges, partial_edges
from millrace.definitions import Definitions
from millrace.delta import TenantTables
from millrace.manifest import Manifest
from millrace.tables import BATCH_EDGES, EVENTS, SPEED_EDGES_TABLE, Table, batch_view, speed_view


@dataclass(frozen=True)
class Recomputed:
    """What a build writes, by table, and the escaped duplicates of the slice it read."""

    tables: dict[Table, DataFrame]
    counted: Counted


def recompute(spark: SparkSession, tables: TenantTables, definitions: Definitions, *, base: Manifest | None, cut: int) -> Recomputed:
    """States and edges over the epochs ≤ ``cut``. With a ``base`` only the log after its cut is read; without one all of it. Equal either way (law 9)."""
    slice_of_log = counted_events(read(spark, tables, EVENTS), after=base.cut if base else 0, until=cut)
    message = parse_messages(F.col("payload"), value_paths(definitions.states)).alias("message")
    events = slice_of_log.events.select("*", message).persist()
    found: dict[Table, DataFrame] = {}
    for name, view in definitions.views.items():
        table = batch_view(name, view)
        fresh = partial_states(events, view.states)
        found[table] = merge_states(fresh if base is None else read_version(spark, tables, table, base).unionByName(fresh), view.states)
    fresh_edges = partial_edges(events)
    found[BATCH_EDGES] = merge_edges(fresh_edges if base is None else read_version(spark, tables, BATCH_EDGES, base).unionByName(fresh_edges))
    return Recomputed(found, Counted(events, slice_of_log.escaped))


def answers_before(spark: SparkSession, tables: TenantTables, definitions: Definitions, *, base: Manifest | None, cut: int) -> dict[Table, DataFrame]:
    """What readers see at head ``cut`` under the published version: batch(base) ⊕ increments of the epochs after it."""
    after = base.cut if base else 0
    within = (F.col("epoch") > after) & (F.col("epoch") <= cut)
    found: dict[Table, DataFrame] = {}
    for name, view in definitions.views.items():
        table = batch_view(name, view)
        increments = read(spark, tables, speed_view(name, view)).filter(within).select(*table.schema.names)
        published = [read_version(spark, tables, table, base)] if base else []
        found[table] = merge_states(_union([*published, increments]), view.states)
    edges = read(spark, tables, SPEED_EDGES_TABLE).filter(within).select(*BATCH_EDGES.schema.names)
    found[BATCH_EDGES] = merge_edges(_union([*([read_version(spark, tables, BATCH_EDGES, base)] if base else []), edges]))
    return found


def read(spark: SparkSession, tables: TenantTables, table: Table) -> DataFrame:
    return _with_columns(spark.read.format("delta").load(tables.path(table)), table)


def read_version(spark: SparkSession, tables: TenantTables, table: Table, manifest: Manifest) -> DataFrame:
    """A batch table as the manifest published it, in today's columns: states it did not have yet are null."""
    found = spark.read.format("delta").option("versionAsOf", manifest.tables[table.name]).load(tables.path(table))
    return _with_columns(found, table)


def _with_columns(frame: DataFrame, table: Table) -> DataFrame:
    have = set(frame.columns)
    return frame.select(*(F.col(f"`{name}`") if name in have else F.lit(None).alias(name) for name in table.schema.names))


def _union(frames: list[DataFrame]) -> DataFrame:
    first, *others = frames
    for other in others:
        first = first.unionByName(other)
    return first
