"""Where a build's results are merged, compared and written: in the driver as Arrow when they fit, on Spark's executors when they do not. Same rows either way.

The heavy part, reading and folding the log, is Spark's in both. batch/build.py chooses by the number of log rows and calls nothing but ``Engine``.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from millrace import merging
from millrace.columns.fold import KEY, merge_states
from millrace.columns.identity import merge_edges
from millrace.delta import TenantTables, conform
from millrace.manifest import Manifest
from millrace.sketches import estimate
from millrace.tables import EDGES, Table
from millrace.traits import State

Hops = dict[State, frozenset[int]]
MOST_SHOWN = 100_000


class Engine(Protocol):
    """Rows are opaque to the caller: what one method returns another takes. ``states`` None: the rows are edges."""

    def published(self, table: Table, manifest: Manifest) -> Any: ...
    def increments(self, table: Table, *, after: int, until: int, like: Table) -> Any: ...
    def fresh(self, partial: DataFrame) -> Any: ...
    def merge(self, parts: list[Any], states: Hops | None) -> Any: ...
    def write(self, table: Table, rows: Any) -> int: ...
    def at_version(self, table: Table, version: int) -> Any: ...
    def differing(self, before: Any, after: Any, states: Hops | None) -> list[tuple[str, ...]]:
        """Keys (a node, or the two of an edge) of rows that are not equal; sketches are equal when their estimates are."""
        ...

    def count(self, rows: Any) -> int: ...


class DriverEngine:
    """Arrow in the driver: a small build spends no time on shuffles and plans."""

    def __init__(self, tables: TenantTables) -> None:
        self._tables = tables

    def published(self, table: Table, manifest: Manifest) -> pa.Table:
        return self.at_version(table, manifest.tables[table.name])

    def at_version(self, table: Table, version: int) -> pa.Table:
        return conform(self._tables.read(table.name, version=version), table.schema)

    def increments(self, table: Table, *, after: int, until: int, like: Table) -> pa.Table:
        return conform(self._tables.read(table, where=(pc.field("epoch") > after) & (pc.field("epoch") <= until)), like.schema)

    def fresh(self, partial: DataFrame) -> pa.Table:
        return partial.toArrow()

    def merge(self, parts: list[pa.Table], states: Hops | None) -> pa.Table:
        schema = parts[0].schema
        rows = pa.concat_tables([conform(part, schema) for part in parts])
        return merging.merge_edges(rows) if states is None else merging.merge_rows(rows, states)

    def write(self, table: Table, rows: pa.Table) -> int:
        return self._tables.replace(table, rows)

    def differing(self, before: pa.Table, after: pa.Table, states: Hops | None) -> list[tuple[str, ...]]:
        keys = ["a", "b"] if states is None else list(KEY)
        left, right = (_shown(rows, states).sort_by([(key, "ascending") for key in keys]) for rows in (before, after))
        if left.equals(right):
            return []
        named = [{tuple(row[key] for key in keys): row for row in _comparable(rows, states).to_pylist()} for rows in (left, right)]
        wrong = [key for key in named[0].keys() | named[1].keys() if named[0].get(key) != named[1].get(key)]
        return sorted({key if states is None else key[:1] for key in wrong})

    def count(self, rows: pa.Table) -> int:
        return len(rows)


def _shown(rows: pa.Table, states: Hops | None) -> pa.Table:
    """The states in the hops they are kept for, without rows that hold none: what an answer can depend on."""
    if states is None:
        return rows.select(EDGES.names)
    columns = {name: rows[name] for name in KEY}
    for state, hops in states.items():
        kept = pc.is_in(rows["hop"], value_set=pa.array(sorted(hops), pa.int32()))
        columns[state.name] = rows[state.name].filter(pa.array([True] * len(rows))) if pc.all(kept).as_py() else _masked(rows[state.name], kept)
    table = pa.table(columns)
    present = None
    for state in states:
        valid = pc.is_valid(table[state.name])
        present = valid if present is None else pc.or_(present, valid)
    return table.filter(present) if present is not None else table


def _masked(column: pa.ChunkedArray, kept: pa.ChunkedArray) -> pa.Array:
    flags = kept.combine_chunks()
    position = pc.if_else(flags, pa.array(range(len(column)), pa.int64()), pa.scalar(None, pa.int64()))
    return column.combine_chunks().take(position)


def _comparable(rows: pa.Table, states: Hops | None) -> pa.Table:
    """Sketches as their estimates: equal sets may have unequal bytes."""
    for state in states or ():
        if state.kind == "distinct":
            values = pa.array([None if sketch is None else estimate(sketch) for sketch in rows[state.name].to_pylist()], pa.int64())
            rows = rows.set_column(rows.schema.get_field_index(state.name), state.name, values)
    return rows


class SparkEngine:
    """Frames on the executors: for results that do not fit the driver."""

    def __init__(self, spark: SparkSession, tables: TenantTables) -> None:
        self._spark, self._tables = spark, tables

    def published(self, table: Table, manifest: Manifest) -> DataFrame:
        return self.at_version(table, manifest.tables[table.name])

    def at_version(self, table: Table, version: int) -> DataFrame:
        return with_columns(self._spark.read.format("delta").option("versionAsOf", version).load(self._tables.path(table)), table)

    def increments(self, table: Table, *, after: int, until: int, like: Table) -> DataFrame:
        rows = self._spark.read.format("delta").load(self._tables.path(table)).filter((F.col("epoch") > after) & (F.col("epoch") <= until))
        return with_columns(rows, like)

    def fresh(self, partial: DataFrame) -> DataFrame:
        return partial

    def merge(self, parts: list[DataFrame], states: Hops | None) -> DataFrame:
        rows = parts[0]
        for part in parts[1:]:
            rows = rows.unionByName(part)
        return merge_edges(rows) if states is None else merge_states(rows, states)

    def write(self, table: Table, rows: DataFrame) -> int:
        rows.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(self._tables.path(table))
        return DeltaTable(self._tables.path(table)).version()

    def differing(self, before: DataFrame, after: DataFrame, states: Hops | None) -> list[tuple[str, ...]]:
        keys = ["a", "b"] if states is None else list(KEY)
        exact = [n for n in EDGES.names if n not in keys] if states is None else [s.name for s in states if s.kind != "distinct"]
        sketches = [s.name for s in states or () if s.kind == "distinct"]
        sides = [_sided(rows, states, keys=keys, exact=exact, sketches=sketches) for rows in (before, after)]
        joined = sides[0].alias("l").join(sides[1].alias("r"), keys, "full_outer")
        unequal = ~F.col("l.exact").eqNullSafe(F.col("r.exact"))
        suspects = joined.filter(unequal | ~F.col("l.sketches").eqNullSafe(F.col("r.sketches"))).select(
            *(["a", "b"] if states is None else ["key"]), unequal.alias("unequal"), F.col("l.sketches").alias("left"), F.col("r.sketches").alias("right")
        )
        names = ["a", "b"] if states is None else ["key"]
        rows = suspects.mapInArrow(lambda batches: _unequal(batches, names), ", ".join(f"{name} STRING" for name in names)).distinct().limit(MOST_SHOWN)
        return sorted(tuple(row.values()) for row in rows.toArrow().to_pylist())

    def count(self, rows: DataFrame) -> int:
        return rows.count()


def with_columns(frame: DataFrame, table: Table) -> DataFrame:
    """The frame in the table's columns: states it does not have yet are null."""
    have = set(frame.columns)
    return frame.select(*(F.col(f"`{name}`") if name in have else F.lit(None).alias(name) for name in table.schema.names))


def _sided(rows: DataFrame, states: Hops | None, *, keys: list[str], exact: list[str], sketches: list[str]) -> DataFrame:
    """Keys with one struct of the exact columns and one array of the sketches: the join then carries and compares three columns."""
    hops = {state.name: kept for state, kept in (states or {}).items()}

    def kept(name: str) -> Column:
        return F.when(F.col("hop").isin(*hops[name]), F.col(f"`{name}`")).alias(name) if name in hops else F.col(name)

    shown = rows.select(*keys, *(kept(name) for name in (*exact, *sketches)))
    present = F.lit(states is None)
    for name in (*exact, *sketches):
        present = present | F.col(f"`{name}`").isNotNull()
    columns = [
        F.struct(F.lit(0).alias("none"), *(F.col(f"`{name}`") for name in exact)).alias("exact"),
        F.array(*(F.col(f"`{name}`") for name in sketches)).cast("array<binary>"),
    ]
    return shown.filter(present).select(*keys, columns[0], columns[1].alias("sketches"))


def _unequal(batches: Iterator[pa.RecordBatch], names: list[str]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        kept = [row for row in batch.to_pylist() if row["unequal"] or [*map(_maybe, row["left"])] != [*map(_maybe, row["right"])]]
        yield pa.RecordBatch.from_arrays([pa.array([row[name] for row in kept], pa.string()) for name in names], names)


def _maybe(sketch: bytes | None) -> int | None:
    return None if sketch is None else estimate(sketch)
