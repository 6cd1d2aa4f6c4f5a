"""Tables of a tenant with many profiles, made from nothing: what the benches put under the store. Numbers mean nothing, shapes do."""

import hashlib
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasketches import hll_sketch, tgt_hll_type

from millrace.definitions import DEFAULT_DIRECTORY, Definitions, load_definitions
from millrace.identity.nodes import person_id
from millrace.tables.catalogue import BATCH_EDGES, BATCH_NODES, LEDGER, MANIFESTS, POSITION, SPEED_EDGES_TABLE, batch_view, speed_view, state_type
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import Manifest, write_manifest
from millrace.traits.sketches import LG_K
from millrace.traits.traits import State
from millrace.traits.views import View

DAY, HOUR = 86_400, 3_600
DAYS, HOURS = 24, 8
ORDER = "Order Completed"
CUT = 1
DEFINITIONS = load_definitions(DEFAULT_DIRECTORY)
VIEW = DEFINITIONS.views["person"]


def write_published(tables: TenantTables, profiles: int) -> list[str]:
    """One batch version of ``profiles`` people, every third with a second node; returns all nodes."""
    rng = np.random.default_rng(7)
    users = [f"user_id:{hashlib.md5(str(n).encode(), usedforsecurity=False).hexdigest()}" for n in range(profiles)]
    devices = [f"anonymous_id:{user[8:]}" for user in users[::3]]
    for table in (speed_view("person", VIEW), SPEED_EDGES_TABLE, LEDGER):
        tables.create(table)
    write_epoch(tables, 1, [], rng=rng)
    batch = batch_view("person", VIEW)
    versions = {
        batch.name: tables.replace(batch, view_rows([*users, *devices], rng)),
        BATCH_EDGES.name: tables.replace(BATCH_EDGES, _edge_rows(users, devices)),
        BATCH_NODES.name: tables.replace(BATCH_NODES, _node_rows(users, devices)),
    }
    publish(tables, 1, versions, cut=CUT)
    return [*users, *devices]


def publish(tables: TenantTables, manifest_id: int, versions: dict[str, int], *, cut: int, definitions: Definitions = DEFINITIONS) -> None:
    tables.create(MANIFESTS)
    write_manifest(tables, Manifest(manifest_id, datetime.now(UTC), "full", cut, "{}", versions, definitions.hash, definitions.to_json(), {}))


def write_epoch(tables: TenantTables, epoch: int, nodes: list[str], *, rng: np.random.Generator, definitions: Definitions = DEFINITIONS) -> None:
    """An epoch in which each of the nodes orders something; the ledger last, as the speed layer writes it."""
    nodes = sorted(set(nodes))
    view = definitions.views["person"]
    rows = view_rows(nodes, rng, tiles=(1, 1), event=ORDER, view=view).append_column("epoch", pa.array([epoch] * (3 * len(nodes)), pa.int64()))
    accepted = pc.sum(rows["count"]).as_py() or 0
    edges = pa.Table.from_pylist(
        [
            {"epoch": epoch, "a": node, "b": node, "seen_count": accepted, "first_seen": {"epoch": epoch, "partition": 0, "offset": n}}
            for n, node in enumerate(nodes)
        ],
        schema=SPEED_EDGES_TABLE.schema,
    )
    tables.append(speed_view("person", view), rows, app_id="bench", epoch=epoch)
    tables.append(SPEED_EDGES_TABLE, edges, app_id="bench", epoch=epoch)
    row = {"shard": "0", "epoch": epoch, "topic": "bench", "partition": 0, "start_offset": epoch * 10**6, "end_offset": (epoch + 1) * 10**6}
    row |= {"accepted": accepted, "rejected": 0, "duplicate": 0, "definitions_hash": definitions.hash, "committed_at": datetime.now(UTC)}
    tables.append(LEDGER, pa.Table.from_pylist([row], schema=LEDGER.schema), app_id="bench", epoch=epoch)


def view_rows(nodes: list[str], rng: np.random.Generator, *, tiles: tuple[int, int] = (DAYS, HOURS), event: str | None = None, view: View = VIEW) -> pa.Table:
    """For each node the all-time tile, some day tiles of the last 80 days and hour tiles of the last two days, as many as ``tiles`` says: every state set, or
    those that an event of one name sets."""
    days, hours = tiles
    today = int(time.time()) // DAY * DAY
    chosen = [(0, 0), *((DAY, today - n * (80 // days) * DAY) for n in range(days)), *((HOUR, today - n * 2 * HOUR) for n in range(hours))]
    hops, starts = np.array(chosen).T
    count = len(nodes) * len(chosen)
    hop = np.tile(hops, len(nodes))
    columns: dict[str, Any] = {
        "key": pa.array(nodes, pa.string()).take(pa.array(np.repeat(np.arange(len(nodes)), len(chosen)))),
        "hop": pa.array(hop, pa.int32()),
        "hop_start": pa.array(np.tile(starts, len(nodes)) * 10**6).cast(pa.timestamp("us", tz="UTC")),
    }
    for state, kept in view.states.items():
        samples = pa.array(_samples(state), state_type(state))
        is_set = np.isin(hop, sorted(kept)) & (event is None or (state.type is None and state.events in ((), (event,))))
        picked = pa.array(rng.integers(0, len(samples), count), mask=~is_set)
        columns[state.name] = samples.take(picked)
    return pa.table(columns)


def _samples(state: State) -> list[Any]:
    """Some states of a kind, in the Arrow form."""
    now = datetime.now(UTC).replace(microsecond=0)
    value: dict[str, list[Any]] = {"number": [Decimal(n * 37) / 100 for n in range(1, 50)], "string": [f"value-{n}" for n in range(50)], "time": [now]}
    if state.kind in ("first", "last"):
        return [{"at": now, "partition": 0, "offset": n, "value": one} for n, one in enumerate(value[state.value_type])]
    if state.kind == "count":
        return list(range(1, 50))
    if state.kind == "distinct":
        return [_sketch(n) for n in range(1, 30)]
    return value[state.value_type]


def _sketch(values: int) -> bytes:
    sketch = hll_sketch(LG_K, tgt_hll_type.HLL_8)
    for n in range(values):
        sketch.update(f"value-{n}")
    return sketch.serialize_compact()


def _edge_rows(users: list[str], devices: list[str]) -> pa.Table:
    """Every user alone, every third with his device."""
    first = pa.StructArray.from_arrays([pa.array([1] * len(users), pa.int64()), pa.array([0] * len(users), pa.int32()), pa.array(range(len(users)), pa.int64())], fields=list(POSITION))
    alone, paired = users, pa.table({"a": devices, "b": users[::3], "first_seen": first.take(pa.array(range(0, len(users), 3)))})
    return pa.concat_tables([pa.table({"a": alone, "b": alone, "first_seen": first}), paired])


def _node_rows(users: list[str], devices: list[str]) -> pa.Table:
    nodes = [*users, *devices]
    persons = [person_id(user) for user in users]
    positions = pa.StructArray.from_arrays(
        [pa.array([1] * len(nodes), pa.int64()), pa.array([0] * len(nodes), pa.int32()), pa.array(range(len(nodes)), pa.int64())],
        names=["epoch", "partition", "offset"],
    )
    persons += persons[::3]
    return pa.table({"node": nodes, "person_id": persons, "component": persons, "hint": ["•••"] * len(nodes), "first_seen": positions})
