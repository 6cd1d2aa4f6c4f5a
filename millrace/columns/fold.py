"""The shared fold on Spark frames: typed values out of messages, millrace/fold.py over slices of a frame, merge of the partial states."""

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
from pyspark.sql import Column, DataFrame

from millrace import fold
from millrace.columns.algebra import merge, typed_value
from millrace.fold import Hops
from millrace.traits import State

KEY = ("key", "hop", "hop_start")
"""A row of a view: the key (a node), the hop in seconds (0: all time), the start of the tile."""


def value_paths(states: Mapping[str, Hops]) -> set[str]:
    """Value paths that the states of all views read from messages."""
    return {state.value for view in states.values() for state in view if state.value}


def value_columns(states: Iterable[State]) -> list[Column]:
    """Typed values of the states, one column for each (path, type), named as the fold expects them. Needs the parsed ``message``."""
    specs = sorted({(state.value, state.value_type) for state in states if state.value and state.value not in fold.PLAIN_PATHS})
    return [typed_value(*spec).alias(fold.value_column(*spec)) for spec in specs]


def fold_events(events: DataFrame, states: Hops) -> DataFrame:
    """States of a view from counted events with their parsed ``message``: one row per (key, hop, hop_start). See millrace/fold.py."""
    return merge_states(partial_states(events, states), states)


def partial_states(events: DataFrame, states: Hops) -> DataFrame:
    """The same before the last merge: several rows of one key and tile may come, one from each slice of the frame."""
    ddl = ", ".join(["key STRING", "hop INT", "hop_start TIMESTAMP", *(f"`{state.name}` {state.delta_type}" for state in states)])

    def fold_slices(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from fold.fold_events(pa.Table.from_batches([batch]), states).to_batches()

    narrow = events.select("node", "event_time", "received_at", "partition", "offset", "source", "type", "name", *value_columns(states))
    return narrow.mapInArrow(fold_slices, ddl)


def merge_states(rows: DataFrame, states: Hops) -> DataFrame:
    """One row per (key, hop, hop_start) from any number of partial rows: batch ⊕ increments."""
    return rows.groupBy(*KEY).agg(*(merge(state).alias(state.name) for state in states))
