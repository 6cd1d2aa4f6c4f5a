"""The product's pure parts put together as the layers do: fold per epoch, merge at a cut, persons, finished values. The laws compare it with the oracle."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from millrace.identity.edges import edges_of
from millrace.identity.resolution import resolve
from millrace.identity.rules import IdentityRules
from millrace.tables.catalogue import EDGES
from millrace.traits.algebra import merge_all, scaled
from millrace.traits.finish import finish
from millrace.traits.fold import Hops, fold_events, value_column
from millrace.traits.sketches import estimate
from millrace.traits.traits import State, Trait
from millrace.traits.views import View
from tests.laws.histories import SECRET, arrow_events
from tests.laws.oracle import Event

Key = tuple[str, int, int]
"""(node, hop in seconds, start of the tile in microseconds)."""
RULES = IdentityRules().compiled(SECRET)
Rows = dict[Key, dict[str, Any]]


def view_of(traits: Mapping[str, Mapping[str, Any]]) -> View:
    zone = next((trait["time_zone"] for trait in traits.values() if "time_zone" in trait), "UTC")
    return View.model_validate({"key": "node", "traits": traits, "time_zone": zone})


def keyed_view_of(traits: Mapping[str, Mapping[str, Any]], key: Mapping[str, str], zone: str) -> View:
    """The same traits of other keys, whose days are those of a zone."""
    return View.model_validate({"key": dict(key), "traits": {name: {**trait, "time_zone": zone} for name, trait in traits.items()}, "time_zone": zone})


def declared(traits: Mapping[str, Mapping[str, Any]], key: Mapping[str, str] | None = None, zone: str | None = None) -> dict[str, Any]:
    """The same view, or that of another key, as a file would declare it: one time zone beside the key."""
    plain = {name: {key: value for key, value in trait.items() if key != "time_zone"} for name, trait in traits.items()}
    return {"key": dict(key) if key else "node", "time_zone": zone or view_of(traits).time_zone, "traits": plain}


def events_table(events: Iterable[Event], view: View) -> pa.Table:
    return arrow_events(events, view.states, value_column)


def python_rows(rows: pa.Table, states: Hops) -> Rows:
    """Rows of a view in the Python form of the algebra. A key that comes twice is an error: the fold promises one row."""
    starts = rows["hop_start"].cast(pa.int64()).to_pylist()
    keys = list(zip(rows["key"].to_pylist(), rows["hop"].to_pylist(), starts, strict=True))
    assert len(set(keys)) == len(keys), "the fold gave one key twice"
    columns = {state.name: python_values(rows[state.name], state) for state in states}
    return {key: {name: column[number] for name, column in columns.items()} for number, key in enumerate(keys)}


def python_values(column: pa.ChunkedArray, state: State) -> list[Any]:
    found = [shown(value, state.kind) for value in column.combine_chunks().to_pylist()]
    return [tuple(value) if isinstance(value, list) and state.kind in ("first", "last") else value for value in found]


def shown(value: Any, kind: str) -> Any:
    """A state as Arrow gives it to Python, in the form of the algebra: written apart from the one the product has for columns."""
    if isinstance(value, dict):
        parts = [shown(part, kind) for part in value.values()]
        return parts[0] * 10**24 + 2 * parts[1] * 10**12 + parts[2] if kind == "squares" else parts
    if isinstance(value, list):
        return [shown(part, kind) for part in value]
    if isinstance(value, Decimal):
        return scaled(value)
    return (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) if isinstance(value, datetime) else value


def merge_rows(parts: Iterable[Rows], states: Hops) -> Rows:
    """Rows merged over all parts, state by state."""
    found: dict[Key, dict[str, list[Any]]] = {}
    for part in parts:
        for key, values in part.items():
            kept = found.setdefault(key, {state.name: [] for state in states})
            for name, value in values.items():
                kept[name].append(value)
    return {key: {state.name: merge_all(state.kind, values[state.name]) for state in states} for key, values in found.items()}


def comparable(rows: Rows, states: Hops) -> Rows:
    """Rows with each sketch replaced by its estimate: the bytes may depend on the order of merges."""
    sketches = {state.name for state in states if state.kind == "distinct"}
    return {
        key: {name: (None if value is None else estimate(value)) if name in sketches else value for name, value in values.items()} for key, values in rows.items()
    }


@dataclass
class Persons:
    """Persons of rows of the edges table under today's rules."""

    edges: list[pa.Table] = field(default_factory=list)

    def add(self, edges: pa.Table) -> "Persons":
        self.edges.append(edges)
        return self

    def members(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for row in resolve(pa.concat_tables([EDGES.empty_table(), *self.edges]), RULES).nodes.to_pylist():
            found.setdefault(row["person_id"], set()).add(row["node"])
        return {person: frozenset(nodes) for person, nodes in found.items()}


def finished(rows: Rows, members: Mapping[str, frozenset[str]], view: View, as_of: int) -> dict[str, dict[str, Any]]:
    """Every trait of every person from merged rows: what the store does at read."""
    tiles: dict[tuple[str, int], list[tuple[int, dict[str, Any]]]] = {}
    for (node, hop, start), values in rows.items():
        tiles.setdefault((node, hop), []).append((start, values))
    return {
        person: {name: finished_trait(trait, [tile for node in nodes for tile in tiles.get((node, trait.hop), [])], as_of) for name, trait in view.traits.items()}
        for person, nodes in members.items()
    }


def finished_trait(trait: Trait, tiles: list[tuple[int, dict[str, Any]]], as_of: int) -> Any:
    if trait.hop:
        first, until = trait.span.tiles(as_of)
        tiles = [(start, values) for start, values in tiles if first <= start // (abs(trait.hop) * 1_000_000) < until]
    return finish(trait, *(merge_all(state.kind, [values[state.name] for _, values in tiles]) for state in trait.states), at=as_of)


def fold_epochs(counted: pa.Table, view: View) -> list[tuple[Rows, pa.Table]]:
    """Increments and edges of every epoch that has events, in order."""
    epochs = sorted(set(counted["epoch"].to_pylist()))
    parts = [counted.filter(pc.field("epoch") == epoch) for epoch in epochs]
    return [(python_rows(fold_events(part, view.states), view.states), edges_of(part)) for part in parts]
