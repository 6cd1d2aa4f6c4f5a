"""The fold both layers share: events to the states of a view (an increment when the events are one epoch). Static frame in, frame out."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.columns.algebra import lift, matches, merge, typed_value
from millrace.traits import State

KEY = ("key", "hop", "hop_start")
"""A row of a view: the key (a node), the hop in seconds (0: all time), the start of the tile."""


def value_paths(states: dict[str, dict[State, frozenset[int]]]) -> set[str]:
    """Value paths that the states of all views read from messages."""
    return {state.value for view in states.values() for state in view if state.value}


def fold_events(events: DataFrame, states: dict[State, frozenset[int]]) -> DataFrame:
    """States of a view from counted events: one row per (key, hop, hop_start) that any event touches. A null state is the zero.

    In: node, event_time, received_at, partition, offset, source, type, name, message. Late and out-of-order events go to the tile
    of their event time like any other; duplicates must have been left out.
    """
    columns = list(states)
    values = {(s.value, s.value_type): f"value_{n}" for n, s in enumerate(columns) if s.value}
    flags = {(s.events, s.type): f"match_{n}" for n, s in enumerate(columns)}
    examples = {(s.events, s.type): s for s in columns}
    prepared = events.select(
        F.col("node").alias("key"), "event_time", "partition", "offset",
        *(matches(examples[spec]).alias(name) for spec, name in flags.items()),
        *(typed_value(*spec).alias(name) for spec, name in values.items()),
    )  # fmt: skip
    hops = sorted({hop for kept in states.values() for hop in kept})
    tiles = [F.when(_touched(states, flags, hop), F.struct(F.lit(hop).alias("hop"), _tile_start(hop).alias("hop_start"))) for hop in hops]
    tiled = prepared.select("*", F.inline(F.filter(F.array(*tiles), lambda tile: tile.isNotNull())))
    return tiled.groupBy(*KEY).agg(
        *(
            lift(
                state,
                counted=F.col(flags[state.events, state.type]) & F.col("hop").isin(*states[state]),
                value=F.col(values[state.value, state.value_type]) if state.value else None,
            ).alias(state.name)
            for state in columns
        )
    )


def merge_states(rows: DataFrame, states: dict[State, frozenset[int]]) -> DataFrame:
    """One row per (key, hop, hop_start) from any number of partial rows: batch ⊕ increments."""
    return rows.groupBy(*KEY).agg(*(merge(state).alias(state.name) for state in states))


def _touched(states: dict[State, frozenset[int]], flags: dict[tuple[tuple[str, ...], str | None], str], hop: int) -> Column:
    """Whether an event matches any state that is kept for the hop."""
    names = sorted({flags[s.events, s.type] for s, kept in states.items() if hop in kept})
    condition = F.lit(False)
    for name in names:
        condition = condition | F.col(name)
    return condition


def _tile_start(hop: int) -> Column:
    """Start of the tile an event time falls in; 1970-01-01 for all time."""
    if hop == 0:
        return F.lit("1970-01-01 00:00:00").cast("timestamp")
    return F.timestamp_seconds(F.floor(F.unix_seconds("event_time") / F.lit(hop)) * F.lit(hop))
