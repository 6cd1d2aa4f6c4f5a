"""``serving/profiles`` for BI tools: one row a person with finished traits, as of the publish. An open Delta table, replaced in one commit."""

import logging
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from millrace.columns.finish import finish_traits
from millrace.delta import TenantTables
from millrace.errors import NothingToDo
from millrace.manifest import Manifest, latest_manifest
from millrace.tables import BATCH_NODES, Table, batch_view, profiles_table

log = logging.getLogger(__name__)


def person_traits(spark: SparkSession, tables: TenantTables, manifest: Manifest, *, as_of: datetime) -> DataFrame:
    """One row per person of the manifest: person_id, identifiers (count), hints (comma-separated), a column a trait, as of a time."""
    view = manifest.definitions.views["person"]
    nodes = _published(spark, tables, BATCH_NODES, manifest)
    tiles = _published(spark, tables, batch_view("person", view), manifest).join(nodes.select(F.col("node").alias("key"), "person_id"), "key", "inner")
    persons = nodes.groupBy("person_id").agg(
        F.count(F.lit(1)).alias("identifier_count"), F.array_join(F.sort_array(F.collect_list("hint")), ", ").alias("hints")
    )
    traits = finish_traits(tiles, view, by="person_id", as_of=as_of)
    return persons.join(traits, "person_id", "left")


def publish_profiles(spark: SparkSession, tables: TenantTables, *, as_of: datetime | None = None) -> int:
    """Replaces serving/profiles by the persons of the newest manifest; returns their number. NothingToDo before the first publish."""
    manifest = latest_manifest(tables)
    if manifest is None:
        raise NothingToDo("no batch version is published yet; run `python -m jobs.build_batch` first")
    as_of = as_of or datetime.now(UTC)
    counted = {
        name: F.coalesce(F.col(name), F.lit(0)).alias(name)
        for name, trait in manifest.definitions.views["person"].traits.items()
        if trait.op in ("count", "sum", "approx_distinct")
    }
    found = person_traits(spark, tables, manifest, as_of=as_of)
    rows = found.select(
        *(counted.get(name, F.col(name)) for name in found.columns), F.lit(as_of).alias("as_of"), F.lit(manifest.manifest_id).cast("bigint").alias("manifest_id"),
        F.lit(manifest.cut).cast("bigint").alias("cut"), F.lit(manifest.definitions_hash).alias("definitions_hash"),
    ).toArrow()  # fmt: skip
    tables.replace(profiles_table(manifest.definitions.views["person"]), rows)
    log.info("profiles published rows=%d manifest_id=%d", len(rows), manifest.manifest_id)
    return len(rows)


def _published(spark: SparkSession, tables: TenantTables, table: Table, manifest: Manifest) -> DataFrame:
    return spark.read.format("delta").option("versionAsOf", manifest.tables[table.name]).load(tables.path(table))
