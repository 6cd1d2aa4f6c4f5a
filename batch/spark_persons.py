"""Persons of more edges than the driver holds: batch/edges at a version in, rows of batch/nodes and batch/refused on Spark out. batch/persons.py calls it.

Regions of the graph (batch/regions.py) are judged by the function that judges the whole where it fits the driver, some at a time, each whole, in the executors: no
edge comes to the driver, and the rows are the same (docs/adr/0019).
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.storagelevel import StorageLevel

from batch.regions import Given, regions_of
from batch.spark_engine import ddl
from millrace.identity.decisions import Decisions
from millrace.identity.resolution import EVIDENCE, resolve
from millrace.identity.rules import Rules
from millrace.identity.verdicts import CROWDED, REASONS, SHARED
from millrace.tables.catalogue import NODES, REFUSED

log = logging.getLogger(__name__)
_FOUND = pa.schema([*NODES, *REFUSED])
"""A row is a node or a refused edge; what belongs to the other is null."""


@dataclass(frozen=True)
class Found:
    """Rows of tables.NODES and of tables.REFUSED, in no order; ``rounds``: how many the components took."""

    nodes: DataFrame
    refused: DataFrame
    rounds: int


def persons_of(given: Given, *, partitions: int) -> Found:
    """Persons and refused edges: what resolution.resolve says of all edges at once. ``given.kept`` is what the caller frees after use."""
    regions = regions_of(given)
    whole = regions.inside.repartition(partitions, "region").select(*EVIDENCE, "alone")
    found = whole.mapInArrow(_judged(given.rules, given.decisions), ddl(_FOUND)).persist(StorageLevel.DISK_ONLY)
    given.kept.append(found)
    refused = found.filter("a IS NOT NULL").select(*REFUSED.names).union(regions.refused)
    nodes = found.filter("node IS NOT NULL")
    if regions.many is not None:
        nodes = nodes.drop("linked").join(given.beside(regions.many), on="node", how="left")
    return Found(nodes.select(*NODES.names), refused, regions.rounds)


def _judged(rules: Rules, decisions: Decisions) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        if found := list(batches):
            yield from _of_regions(pa.Table.from_batches(found), rules, decisions)

    return run


def _of_regions(edges: pa.Table, rules: Rules, decisions: Decisions) -> Iterator[pa.RecordBatch]:
    """Rows of whole regions. A shared or crowded node is there without the edges that show that it is so."""
    found = resolve(edges.select(list(EVIDENCE)), rules, decisions)
    nodes = found.nodes
    for number in (SHARED, CROWDED):
        alone = edges["a"].filter(pc.equal(edges["alone"], number))
        isolated = pc.if_else(pc.is_in(nodes["node"], value_set=alone.combine_chunks()), REASONS[number], nodes["isolated"])
        nodes = nodes.set_column(nodes.schema.get_field_index("isolated"), NODES.field("isolated"), isolated)
    refused = pa.table([edges["a"], edges["b"], found.refused], schema=REFUSED).filter(found.refused.is_valid())
    for rows in (nodes, refused):
        columns = [rows[field.name] if field.name in rows.column_names else pa.nulls(len(rows), field.type) for field in _FOUND]
        yield from pa.Table.from_arrays(columns, schema=_FOUND).to_batches(max_chunksize=50_000)
