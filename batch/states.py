"""Batch states at a cut: views and edges, from the log alone or from the version before plus the log between the cuts. batch/build.py calls it."""

from typing import Any

from pyspark.sql import DataFrame

from batch.engines import Engine, Hops
from millrace.columns.events import parse_messages
from millrace.columns.fold import partial_states, value_paths
from millrace.columns.identity import partial_edges
from millrace.definitions import Definitions
from millrace.manifest import Manifest
from millrace.tables import BATCH_EDGES, SPEED_EDGES_TABLE, Table, batch_view, speed_view


def states_of(definitions: Definitions) -> dict[Table, Hops | None]:
    """The tables of a batch version that hold states, with them; None for the edges."""
    return {batch_view(name, view): view.states for name, view in definitions.views.items()} | {BATCH_EDGES: None}


def with_message(events: DataFrame, definitions: Definitions) -> DataFrame:
    """Log rows with their payload parsed again, as the fold takes them."""
    return events.select("*", parse_messages(events["payload"], value_paths(definitions.states)).alias("message"))


def recompute(engine: Engine, events: DataFrame, definitions: Definitions, *, base: Manifest | None) -> dict[Table, Any]:
    """States and edges of the counted events, on top of those of ``base``. Without a base the events are the whole log; equal either way (law 9)."""
    found = {}
    for table, states in states_of(definitions).items():
        fresh = engine.fresh(partial_edges(events) if states is None else partial_states(events, states))
        found[table] = engine.merge([*([engine.published(table, base)] if base else []), fresh], states)
    return found


def answers_before(engine: Engine, definitions: Definitions, *, serving: Manifest | None, cut: int) -> dict[Table, Any]:
    """What readers see at head ``cut`` under the published version: batch(serving) ⊕ increments of the epochs after it."""
    speed = {batch_view(name, view): speed_view(name, view) for name, view in definitions.views.items()} | {BATCH_EDGES: SPEED_EDGES_TABLE}
    after = serving.cut if serving else 0
    found = {}
    for table, states in states_of(definitions).items():
        increments = engine.increments(speed[table], after=after, until=cut, like=table)
        published = [engine.published(table, serving)] if serving and table.name in serving.tables else []
        found[table] = engine.merge([*published, increments], states)
    return found
