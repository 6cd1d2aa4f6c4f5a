"""Persons of a batch version: batch/edges at a version in, new versions of batch/nodes and batch/refused out. batch/states.py calls it.

Edges that fit the driver are resolved there; more of them on Spark's executors. The rows are the same (docs/adr/0019).
"""

import logging

import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from batch.persons_proof import prove_persons
from batch.regions import Given
from batch.spark_engine import SparkEngine, working_session
from batch.spark_persons import persons_of
from millrace.identity.decisions import Decisions
from millrace.identity.resolution import EVIDENCE, resolve
from millrace.identity.rules import Rules
from millrace.settings import DEFAULTS, BatchSettings
from millrace.tables.catalogue import BATCH_EDGES, BATCH_NODES, BATCH_REFUSED, REFUSED, Table
from millrace.tables.delta import TenantTables

log = logging.getLogger(__name__)
Versions = dict[Table, int]


def write_persons(
    tables: TenantTables, rules: Rules, decisions: Decisions, *, edges: int, spark: SparkSession, settings: BatchSettings = DEFAULTS.batch
) -> Versions:
    """Persons and refused edges of batch/edges at a version. Until a manifest names the versions nobody reads them. ProofError when what was found on Spark does
    not fit the edges."""
    count = DeltaTable(tables.path(BATCH_EDGES), version=edges).count()
    if count <= settings.identity_in_driver_edges:
        return write_in_driver(tables, rules, decisions, edges=edges)
    for table in (BATCH_NODES, BATCH_REFUSED):
        tables.create(table)
    partitions = max(spark.sparkContext.defaultParallelism, -(-count // settings.partition_rows))
    session = working_session(spark, partitions)
    rows = session.read.format("delta").option("versionAsOf", edges).load(tables.path(BATCH_EDGES)).select(*EVIDENCE)
    given, engine = Given(session, rows, count, rules, decisions), SparkEngine(session, tables, partitions=partitions)
    try:
        found = persons_of(given, partitions=partitions)
        versions = {BATCH_NODES: engine.write(BATCH_NODES, found.nodes), BATCH_REFUSED: engine.write(BATCH_REFUSED, found.refused)}
    finally:
        given.free()
    prove_persons(session, tables, versions | {BATCH_EDGES: edges})
    log.info("persons found on executors edges=%d partitions=%d rounds=%d", count, partitions, found.rounds)
    return versions


def write_in_driver(tables: TenantTables, rules: Rules, decisions: Decisions, *, edges: int) -> Versions:
    """The same in the driver, without Spark."""
    rows = tables.read(BATCH_EDGES, columns=EVIDENCE, version=edges)
    found = resolve(rows, rules, decisions)
    refused = pa.table([rows["a"], rows["b"], found.refused], schema=REFUSED).filter(found.refused.is_valid()).sort_by([("a", "ascending"), ("b", "ascending")])
    del rows
    return {BATCH_NODES: tables.replace(BATCH_NODES, found.nodes), BATCH_REFUSED: tables.replace(BATCH_REFUSED, refused)}
