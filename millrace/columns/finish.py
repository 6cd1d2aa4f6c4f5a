"""Finishing as Spark columns: from the tiles of a person to typed trait values. Python form: millrace/traits/finish.py; they agree on every input."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.columns.algebra import merge
from millrace.columns.expressions import ColumnForm
from millrace.traits.algebra import NUMBER, VALUE_TYPES
from millrace.traits.finish import micros
from millrace.traits.finished_columns import finished_column
from millrace.traits.traits import ALL_TIME, Trait
from millrace.traits.values import is_simple
from millrace.traits.views import View

_DERIVED: Mapping[str, Callable[[Column], Column]] = {
    **{name: lambda value, kind=kind: value.cast(kind) for name, kind in (("integer", "BIGINT"), ("number", NUMBER), ("text", "STRING"), ("boolean", "BOOLEAN"))},
    "time": F.timestamp_micros, "list": lambda value: value, "times": lambda value: F.transform(value, F.timestamp_micros),
}  # fmt: skip
"""From the inner types of expressions to those of the table."""


def trait_type(trait: Trait) -> str:
    """Delta type of a finished trait: counts BIGINT, numbers DECIMAL(38,9), text STRING, times TIMESTAMP, lists ARRAY."""
    value = VALUE_TYPES[trait.resolved_type]
    plain = {
        "integer": "BIGINT", "number": NUMBER, "boolean": "BOOLEAN", "times": "ARRAY<TIMESTAMP>", "list": f"ARRAY<{value}>",
        "counts": f"ARRAY<STRUCT<value: {value}, count: BIGINT>>",
    }  # fmt: skip
    return plain.get(trait.answers, value)


def finish_traits(tiles: DataFrame, view: View, *, by: str, as_of: datetime) -> DataFrame:
    """One row per ``by`` with a column a trait, as of a time. In: ``by`` and the columns of the view, any number of rows a tile."""
    return finish_windows(merge_windows(tiles, view, by=by, as_of=as_of), view, keep=[by], as_of=as_of)


def merge_windows(tiles: DataFrame, view: View, *, by: str, as_of: datetime) -> DataFrame:
    """One row per ``by`` with the merged states of every trait's window, named by ``window_column``."""
    columns = {window_column(trait, n): _windowed(trait, n, as_of) for trait in view.traits.values() for n in range(len(trait.states))}
    return tiles.groupBy(by).agg(*columns.values())


def finish_windows(merged: DataFrame, view: View, *, keep: Sequence[str], as_of: datetime) -> DataFrame:
    """The columns to ``keep`` and a column a trait. In: those columns and the ones of ``merge_windows``; null states are nothing seen."""
    in_python = {name: trait for name, trait in view.traits.items() if trait.op == "approx_distinct" or not is_simple(trait)}
    states = {window_column(trait, n): F.col(f"`{window_column(trait, n)}`") for trait in in_python.values() for n in range(len(trait.states))}
    finished = merged.select(*keep, *(_value(name, trait) for name, trait in view.traits.items() if name not in in_python), *states.values())
    whole = _finished_in_python(finished, view, in_python, keep=keep, at=micros(as_of)) if in_python else finished
    form = ColumnForm(micros(as_of))
    for one in view.compiled:  # each sees those it names
        whole = whole.select("*", _DERIVED[one.answers](form.column(one.tree)).alias(one.name))
    return whole


def in_any_window(view: View, as_of: datetime) -> Column:
    """Whether a tile is in the window of any trait: the others need not be read."""
    inside = F.lit(False)
    for trait in view.traits.values():
        inside = inside | _inside(trait, as_of)
    return inside


def window_column(trait: Trait, n: int) -> str:
    """Name of the column with the n-th state of a trait, merged over its window. Traits that share state and window share the column."""
    return f"{trait.states[n].name}@{trait.span.key}"


def _inside(trait: Trait, as_of: datetime) -> Column:
    """Whether a tile is in the trait's window."""
    inside = F.col("hop") == trait.hop
    if trait.hop == ALL_TIME:
        return inside
    first, until = (tile * abs(trait.hop) for tile in trait.span.tiles(micros(as_of)))
    start = F.unix_seconds("hop_start")
    return inside & (start >= first) & (start < until)


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
    return value.cast(trait_type(trait)).alias(name)


def _finished_in_python(rows: DataFrame, view: View, in_python: dict[str, Trait], *, keep: Sequence[str], at: int) -> DataFrame:
    """Finishes what is more than an expression by the same function the store uses, so that both give the same value."""
    kinds = {field.name: field.dataType.simpleString() for field in rows.schema} | {name: trait_type(trait) for name, trait in in_python.items()}
    names = [*keep, *view.traits]

    def finish(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield pa.RecordBatch.from_arrays([_column(batch, name, in_python.get(name), at) for name in names], names)

    return rows.mapInArrow(finish, ", ".join(f"`{name}` {kinds[name]}" for name in names))


def _column(batch: pa.RecordBatch, name: str, trait: Trait | None, at: int) -> pa.Array:
    if trait is None:
        return batch.column(name)
    return finished_column(trait, [batch.column(window_column(trait, n)) for n in range(len(trait.states))], at)
