"""``serving/profiles`` for BI tools: one row a person with finished traits, as of a time. An open Delta table, replaced in one commit. Jobs and the runner call it."""

import logging
from datetime import UTC, datetime

from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from batch.windows import persons_with_windows
from millrace.columns.finish import finish_windows, in_any_window, merge_windows
from millrace.delta import TenantTables
from millrace.errors import NothingToDo
from millrace.identity import NAMESPACES
from millrace.manifest import Manifest, latest_manifest
from millrace.settings import DEFAULTS, BatchSettings
from millrace.tables import BATCH_NODES, Table, batch_view, profiles_table

log = logging.getLogger(__name__)
PERSON = "person"
"""The view whose traits a profile shows."""


def publish_profiles(spark: SparkSession, tables: TenantTables, *, as_of: datetime | None = None, settings: BatchSettings = DEFAULTS.batch) -> int:
    """Replaces serving/profiles by the persons of the newest manifest; returns their number. NothingToDo before the first publish."""
    manifest = latest_manifest(tables)
    if manifest is None:
        raise NothingToDo("no batch version is published yet; run `python -m jobs.build_batch` first")
    view = manifest.definitions.views[PERSON]
    as_of = as_of or datetime.now(UTC)
    table, states = profiles_table(view), batch_view(PERSON, view)
    in_driver = DeltaTable(tables.path(states), version=manifest.tables[states.name]).count() <= settings.profiles_in_driver_rows
    if in_driver:
        merged = spark.createDataFrame(persons_with_windows(tables, manifest, PERSON, as_of=as_of))
    else:
        merged = persons_on_executors(spark, tables, manifest, as_of=as_of)
    found = with_receipt(finish_windows(merged, view, keep=["person_id", "identifier_count", "hints"]), manifest, as_of=as_of)
    if in_driver:
        tables.replace(table, found.toArrow())
    else:
        tables.create(table)
        found.select(*table.schema.names).write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(tables.path(table))
    rows = DeltaTable(tables.path(table)).count()
    log.info("profiles published rows=%d manifest_id=%d", rows, manifest.manifest_id)
    return rows


def persons_on_executors(spark: SparkSession, tables: TenantTables, manifest: Manifest, *, as_of: datetime) -> DataFrame:
    """What ``persons_with_windows`` gives, as a frame."""
    view = manifest.definitions.views[PERSON]
    nodes = _published(spark, tables, BATCH_NODES, manifest)
    tiles = _published(spark, tables, batch_view(PERSON, view), manifest).filter(in_any_window(view, as_of))
    owned = tiles.join(nodes.select(F.col("node").alias("key"), "person_id"), "key", "inner")
    rank = F.coalesce(*(F.when(F.startswith("node", F.lit(f"{namespace}:")), F.lit(n)) for n, namespace in enumerate(NAMESPACES)), F.lit(len(NAMESPACES)))
    ordered = F.sort_array(F.collect_list(F.struct(rank.alias("rank"), "node", F.coalesce("hint", F.lit("•••")).alias("hint"))))
    persons = nodes.groupBy("person_id").agg(F.count(F.lit(1)).alias("identifier_count"), F.array_join(ordered["hint"], ", ").alias("hints"))
    return persons.join(merge_windows(owned, view, by="person_id", as_of=as_of), "person_id", "left")


def with_receipt(profiles: DataFrame, manifest: Manifest, *, as_of: datetime) -> DataFrame:
    """The profiles with the columns that say what they were made from."""
    return profiles.select(
        "*", F.lit(as_of).alias("as_of"), F.lit(manifest.manifest_id).cast("bigint").alias("manifest_id"), F.lit(manifest.cut).cast("bigint").alias("cut"),
        F.lit(manifest.definitions_hash).alias("definitions_hash"),
    )  # fmt: skip


def _published(spark: SparkSession, tables: TenantTables, table: Table, manifest: Manifest) -> DataFrame:
    return spark.read.format("delta").option("versionAsOf", manifest.tables[table.name]).load(tables.path(table))
