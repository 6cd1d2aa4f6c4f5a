"""A tenant whose tables a test writes by hand: orders in epochs, batch versions up to a cut, manifests. No JVM; states are made by plain Python here."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
from datasketches import hll_sketch, tgt_hll_type
from hypothesis import HealthCheck, settings

from millrace.definitions import Definitions
from millrace.identity.nodes import NAMESPACES, person_id
from millrace.tables.catalogue import BATCH_EDGES, BATCH_NODES, LEDGER, SPEED_EDGES_TABLE, batch_view, speed_view
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import Manifest, write_manifest
from millrace.traits.sketches import LG_K
from millrace.traits.traits import State
from millrace.traits.views import View

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For property tests: a busy machine is no failure."""
SECRET = b"\x5a" * 32
TRAITS = {
    "orders": {"op": "count", "event": "Order"},
    "spend": {"op": "sum", "event": "Order", "value": "properties.revenue"},
    "spend_2d": {"op": "sum", "event": "Order", "value": "properties.revenue", "window": "2d"},
    "orders_3h": {"op": "count", "event": "Order", "window": "3h"},
    "basket": {"op": "avg", "event": "Order", "value": "properties.revenue"},
    "basket_2d": {"op": "avg", "event": "Order", "value": "properties.revenue", "window": "2d"},
    "smallest": {"op": "min", "event": "Order", "value": "properties.revenue"},
    "last_store": {"op": "last", "event": "Order", "value": "properties.store"},
    "first_at": {"op": "first", "event": "Order", "value": "event_time"},
    "stores": {"op": "approx_distinct", "event": "Order", "value": "properties.store"},
    "stores_2d": {"op": "approx_distinct", "event": "Order", "value": "properties.store", "window": "2d"},
}


def definitions_of(traits: dict[str, dict[str, Any]]) -> Definitions:
    """No rules of identity: whatever is seen together is one person."""
    rules = {"namespaces": {name: {"shared_from": None} for name in NAMESPACES}}
    return Definitions.model_validate({"views": {"person": {"key": "node", "traits": traits}}, "identity": rules})


DEFINITIONS = definitions_of(TRAITS)
WITH_SHOPS = Definitions(identity=DEFINITIONS.identity, views={**DEFINITIONS.views, "shop": View.model_validate({"key": "properties.store", "traits": TRAITS})})
"""The same traits also of shops."""


@dataclass(frozen=True)
class Order:
    """One counted event. ``also``: other identifiers it carries; ``node`` owns it."""

    node: str
    at: str = "2025-01-10T12:00:00Z"
    revenue: str = "10"
    store: str = "north"
    also: tuple[str, ...] = ()

    @property
    def time(self) -> datetime:
        return datetime.fromisoformat(self.at)


@dataclass(frozen=True)
class Placed:
    """An order in the log."""

    order: Order
    epoch: int
    offset: int

    @property
    def position(self) -> dict[str, int]:
        return {"epoch": self.epoch, "partition": 0, "offset": self.offset}


class HandMade:
    """Writes what the speed and batch layers would write. Epochs count up by themselves."""

    def __init__(self, root: Path, definitions: Definitions = DEFINITIONS) -> None:
        self.tables = TenantTables(root, "t")
        self.definitions = definitions
        self.log: list[Placed] = []
        self.epochs = 0
        self.manifests: list[Manifest] = []
        self.ended = 0
        """Where the ledger's offsets have come to."""

    @property
    def view(self) -> Any:
        return self.definitions.views["person"]

    def write(self, *orders: Order) -> int:
        """An epoch with its ledger row; its number."""
        self.begin(*orders)
        return self.commit(len(orders))

    def begin(self, *orders: Order) -> int:
        """An epoch in flight: all its rows, but no ledger row yet."""
        self.epochs += 1
        increments = {name: speed_view(name, view) for name, view in self.definitions.views.items()}
        for table in (*increments.values(), SPEED_EDGES_TABLE, LEDGER):
            self.tables.create(table)
        placed = [Placed(order, self.epochs, len(self.log) + n) for n, order in enumerate(orders)]
        self.log += placed
        for name, table in increments.items():
            witness = [{}] if name != "person" else []  # a row without a key shows that the increments are there
            self._append(table, [*rows_of(placed, self.definitions, name), *witness])
        self._append(SPEED_EDGES_TABLE, edges_of(placed))
        return self.epochs

    def commit(self, accepted: int, *, epoch: int | None = None) -> int:
        """The ledger row that makes the last epoch (or the one given) exist."""
        epoch = epoch or self.epochs
        self.tables.append(LEDGER, self.ledger_rows((epoch, accepted)), app_id="ledger", epoch=epoch)
        return epoch

    def ledger_rows(self, *epochs: tuple[int, int]) -> pa.Table:
        """A row for each (epoch, accepted), offsets joined to what was written before."""
        rows = []
        for epoch, accepted in epochs:
            rows.append(
                {
                    "shard": "0", "epoch": epoch, "topic": "t.events", "partition": 0, "start_offset": self.ended, "end_offset": self.ended + accepted,
                    "accepted": accepted, "rejected": 0, "duplicate": 0, "definitions_hash": self.definitions.hash,
                    "committed_at": datetime(2025, 1, 10, 12, 0, epoch, tzinfo=UTC),
                }
            )  # fmt: skip
            self.ended += accepted
        return pa.Table.from_pylist(rows, schema=LEDGER.schema)

    def publish(self, cut: int) -> Manifest:
        """A batch version of all epochs ≤ ``cut``."""
        placed = [one for one in self.log if one.epoch <= cut]
        views = {name: batch_view(name, view) for name, view in self.definitions.views.items()}
        versions = {
            **{batch.name: self.tables.replace(batch, pa.Table.from_pylist(rows_of(placed, self.definitions, name), schema=batch.schema)) for name, batch in views.items()},
            BATCH_EDGES.name: self.tables.replace(BATCH_EDGES, pa.Table.from_pylist(merged_edges_of(placed), schema=BATCH_EDGES.schema)),
            BATCH_NODES.name: self.tables.replace(BATCH_NODES, self.nodes(placed)),
        }
        return self.manifest(cut, versions)

    def nodes(self, placed: list[Placed]) -> pa.Table:
        return pa.Table.from_pylist(nodes_of(placed), schema=BATCH_NODES.schema)

    def decided(self) -> int:
        """The last decision that ``nodes`` follows."""
        return 0

    def rollback(self, manifest: Manifest) -> Manifest:
        return self.manifest(manifest.cut, manifest.tables, again=manifest)

    def manifest(self, cut: int, versions: dict[str, int], *, again: Manifest | None = None) -> Manifest:
        """``again``: the manifest whose version this one serves once more, under the decisions it was built under."""
        written = Manifest(
            manifest_id=len(self.manifests) + 1, published_at=datetime(2025, 1, 10, 13, tzinfo=UTC), kind="rollback" if again else "full", cut=cut,
            offsets="{}", tables=versions, definitions_hash=self.definitions.hash, definitions_json=self.definitions.to_json(), proof={},
            rolled_back_to=again and again.manifest_id, decisions=again.decisions if again else self.decided(),
        )  # fmt: skip
        write_manifest(self.tables, written)
        self.manifests.append(written)
        return written

    def _append(self, table: Any, rows: list[dict[str, Any]]) -> None:
        stamped = pa.Table.from_pylist([{"epoch": self.epochs, **row} for row in rows], schema=table.schema)
        self.tables.append(table, stamped, app_id=table.name, epoch=self.epochs)


def rows_of(placed: Iterable[Placed], definitions: Definitions, name: str = "person") -> list[dict[str, Any]]:
    """Rows of a view: for each (key, hop, tile) every state over its orders. The key of another view than that of persons is the store."""
    tiles: dict[tuple[str, int, int], list[Placed]] = defaultdict(list)
    states = definitions.states[name]
    for one in placed:
        for hop in {hop for hops in states.values() for hop in hops}:
            seconds = int(one.order.time.timestamp())
            tiles[one.order.node if name == "person" else one.order.store, hop, seconds - seconds % hop if hop else 0].append(one)
    return [
        {
            "key": key, "hop": hop, "hop_start": datetime.fromtimestamp(start, UTC),
            **{state.name: state_of(state, orders) if hop in hops else None for state, hops in states.items()},
        }
        for (key, hop, start), orders in tiles.items()
    ]  # fmt: skip


def state_of(state: State, placed: list[Placed]) -> Any:
    """A state in its Arrow form, straight from orders."""
    values: dict[str | None, Callable[[Order], Any]] = {
        None: lambda order: 1, "properties.revenue": lambda order: Decimal(order.revenue), "properties.store": lambda order: order.store,
        "event_time": lambda order: order.time,
    }  # fmt: skip
    value = values[state.value]
    if state.kind in ("first", "last"):
        by_time = sorted(placed, key=lambda one: (one.order.time, one.offset))
        one = by_time[0 if state.kind == "first" else -1]
        return {"at": one.order.time, "partition": 0, "offset": one.offset, "value": value(one.order)}
    if state.kind == "distinct":
        return sketch_of(one.order.store for one in placed)
    return {"count": len, "sum": sum, "min": min, "max": max}[state.kind]([value(one.order) for one in placed])


def sketch_of(values: Iterable[str]) -> bytes:
    sketch = hll_sketch(LG_K, tgt_hll_type.HLL_8)
    for value in values:
        sketch.update(value)
    return sketch.serialize_compact()


def edges_of(placed: Iterable[Placed]) -> list[dict[str, Any]]:
    """One row per order and other identifier; the self-edge of a lone one."""
    rows = []
    for one in placed:
        for other in one.order.also or (one.order.node,):
            a, b = sorted((one.order.node, other))
            hints = {"hint_a": hint(a), "hint_b": hint(b)}
            rows.append({"a": a, "b": b, **hints, "first_at": one.order.time, "last_at": one.order.time, "seen_count": 1, "first_seen": one.position})
    return rows


def merged_edges_of(placed: Iterable[Placed]) -> list[dict[str, Any]]:
    """Each pair once, as it was first seen."""
    rows = sorted(edges_of(placed), key=lambda row: tuple(row["first_seen"].values()), reverse=True)
    return list({(row["a"], row["b"]): row for row in rows}.values())


def hint(node: str) -> str:
    return f"{node[-1]}•••"


def nodes_of(placed: Iterable[Placed]) -> list[dict[str, Any]]:
    """Rows of batch/nodes: persons by plain merging of sets."""
    first: dict[str, tuple[int, int, int]] = {}
    groups: list[set[str]] = []
    for one in placed:
        members = {one.order.node, *one.order.also}
        for node in members:
            first.setdefault(node, (one.epoch, 0, one.offset))
        joined = [group for group in groups if group & members]
        groups = [group for group in groups if not group & members] + [members.union(*joined)]
    rows = []
    for group in groups:
        anchor = min((first[node], node) for node in group)[1]
        rows += [
            {
                "node": node,
                "person_id": person_id(anchor),
                "component": person_id(anchor),
                "hint": hint(node),
                "first_seen": dict(zip(("epoch", "partition", "offset"), first[node], strict=True)),
            }
            for node in sorted(group)
        ]
    return rows
