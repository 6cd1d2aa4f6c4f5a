"""Finishing as Spark columns: from the tiles of a person to typed trait values. Python form: millrace/finish.py; they agree on every input."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.algebra import NUMBER, VALUE_TYPES
from millrace.columns.algebra import merge
from millrace.finish import micros, tile_range
from millrace.sketches import estimate
from millrace.traits import ALL_TIME, Trait, View


def trait_type(trait: Trait) -> str:
    """Delta type of a finished trait: counts BIGINT, numbers DECIMAL(38,9), text STRING, times TIMESTAMP."""
    if trait.op in ("count", "approx_distinct"):
        return "BIGINT"
    return NUMBER if trait.op in ("sum", "avg") else VALUE_TYPES[trait.resolved_type]


def finish_traits(tiles: DataFrame, view: View, *, by: str, as_of: datetime) -> DataFrame:
    """One row per ``by`` with a column a trait, as of a time. In: ``by`` and the columns of the view, any number of rows a tile."""
    return finish_windows(merge_windows(tiles, view, by=by, as_of=as_of), view, keep=[by])


def merge_windows(tiles: DataFrame, view: View, *, by: str, as_of: datetime) -> DataFrame:
    """One row per ``by`` with the merged states of every trait's window, named by ``window_column``."""
    columns = {window_column(trait, n): _windowed(trait, n, as_of) for trait in view.traits.values() for n in range(len(trait.states))}
    return tiles.groupBy(by).agg(*columns.values())


def finish_windows(merged: DataFrame, view: View, *, keep: Sequence[str]) -> DataFrame:
    """The columns to ``keep`` and a column a trait. In: those columns and the ones of ``merge_windows``; null states are nothing seen."""
    finished = merged.select(*keep, *(_value(name, trait) for name, trait in view.traits.items()))
    distinct = [name for name, trait in view.traits.items() if trait.op == "approx_distinct"]
    return _with_estimates(finished, distinct) if distinct else finished


def in_any_window(view: View, as_of: datetime) -> Column:
    """Whether a tile is in the window of any trait: the others need not be read."""
    inside = F.lit(False)
    for trait in view.traits.values():
        inside = inside | _inside(trait, as_of)
    return inside


def window_column(trait: Trait, n: int) -> str:
    """Name of the column with the n-th state of a trait, merged over its window. Traits that share state and window share the column."""
    return f"{trait.states[n].name}@{trait.window or 'all'}"


def _inside(trait: Trait, as_of: datetime) -> Column:
    """Whether a tile is in the trait's window."""
    inside = F.col("hop") == trait.hop
    if trait.hop == ALL_TIME:
        return inside
    from_tile, until_tile = tile_range(micros(as_of), window=trait.window_seconds, hop=trait.hop)
    start = F.unix_seconds("hop_start")
    return inside & (start >= from_tile * trait.hop) & (start < until_tile * trait.hop)


def _windowed(trait: Trait, n: int, as_of: datetime) -> Column:
    """Merge of one state of a trait over the tiles of its window."""
    state = trait.states[n]
    return merge(state, F.when(_inside(trait, as_of), F.col(f"`{state.name}`"))).alias(window_column(trait, n))


def _value(name: str, trait: Trait) -> Column:
    states = [F.col(f"`{window_column(trait, n)}`") for n in range(len(trait.states))]
    if trait.op == "count" or trait.op == "sum":
        value = F.coalesce(states[0], F.lit(0))
    elif trait.op == "avg":
        value = F.when(states[0].isNotNull(), F.try_divide(states[0], states[1]))
    elif trait.op in ("first", "last"):
        value = states[0]["value"]
    else:
        value = states[0]
    return (value if trait.op == "approx_distinct" else value.cast(trait_type(trait))).alias(name)


def _with_estimates(rows: DataFrame, names: list[str]) -> DataFrame:
    """Replaces sketches by their estimates: by the same function the store uses, so that both give the same number."""
    ddl = ", ".join(f"`{field.name}` {'BIGINT' if field.name in names else field.dataType.simpleString()}" for field in rows.schema)

    def estimates(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = [
                pa.array([estimate(s) for s in column.to_pylist()], pa.int64()) if name in names else column
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, batch.schema.names)

    return rows.mapInArrow(estimates, ddl)
