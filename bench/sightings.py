"""Edges after the cut taken in by the store: rows of speed/edges per second through Persons.prepare and apply over a real base, ÷ a bare union-find over
the same rows as integers in the same Python, which keeps no rules, ids or positions.

Half of a history is the batch version, in LMDB as the store builds it; the other half comes in epochs of 10,000 events, merged as the speed layer writes
them. Most rows repeat what is known, or are a node with itself. bench/run.py calls ``measure``.
"""

import gc
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from batch.persons import write_in_driver
from bench.identity_histories import Troubles, make_history, random_nodes, standard_events
from bench.lookup_tables import DEFINITIONS, VIEW
from millrace.identity.decisions import UNDECIDED
from millrace.identity.edges import edges_of
from millrace.identity.node_codes import codes_of
from millrace.identity.rules import IdentityRules
from millrace.tables.catalogue import BATCH_EDGES, SPEED_EDGES, batch_view
from millrace.tables.delta import TenantTables, conform
from millrace.tables.manifest import Manifest
from serving.store.base_building import build_base
from serving.store.batch_base import BatchBase
from serving.store.persons import Persons

MUST, AIM = 0.04, 0.08
EDGES_PER_SECOND = 100_000
"""What it has to reach besides the ratio."""
PEOPLE, EPOCH, ROUNDS = 100_000, 10_000, 3
TROUBLES = Troubles(shared_devices=0.01, shared_emails=0.01, junk=0.001)
RULES = IdentityRules().compiled(b"bench")


def measure() -> dict[str, Any]:
    """Median of the rounds' ratios; ``value`` and ``baseline`` in rows/s."""
    history = make_history(PEOPLE, seed=3, troubles=TROUBLES, repeats=10)
    events = standard_events(history, random_nodes(history, seed=4))
    before, after = events.slice(0, len(events) // 2), events.slice(len(events) // 2)
    epochs = [_speed_rows(after.slice(at, EPOCH)) for at in range(0, len(after), EPOCH)]
    rows = sum(map(len, epochs))
    with tempfile.TemporaryDirectory() as folder:
        base = _base(TenantTables(folder, "bench"), edges_of(before), Path(folder) / "base")
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)  # as the process that serves has it
        runs = [(rows / _take_in(epochs, base), rows / _bare(epochs)) for _ in range(ROUNDS)]
        base.close()
    ratios = [value / baseline for value, baseline in runs]
    middle = sorted(range(ROUNDS), key=lambda n: ratios[n])[ROUNDS // 2]
    return {
        "ratio": statistics.median(ratios), "value": runs[middle][0], "baseline": runs[middle][1], "must": MUST, "aim": AIM, "runs": runs, "rows": rows,
        "edges_per_second": round(runs[middle][0]), "must_edges_per_second": EDGES_PER_SECOND,
    }  # fmt: skip


def _speed_rows(events: pa.Table) -> pa.Table:
    edges = edges_of(events)
    return conform(edges.append_column("epoch", pa.array(np.full(len(edges), 2))), SPEED_EDGES)


def _base(tables: TenantTables, edges: pa.Table, folder: Path) -> BatchBase:
    states, version = batch_view("person", VIEW), tables.replace(BATCH_EDGES, edges)
    versions = {table.name: number for table, number in write_in_driver(tables, RULES, UNDECIDED, edges=version).items()}
    versions |= {BATCH_EDGES.name: version, states.name: tables.replace(states, states.schema.empty_table())}
    manifest = Manifest(1, datetime.now(UTC), "full", 1, "{}", versions, DEFINITIONS.hash, DEFINITIONS.to_json(), {})
    folder.mkdir()
    build_base(tables, manifest, folder)
    return BatchBase(folder, manifest)


def _take_in(epochs: list[pa.Table], base: BatchBase) -> float:
    persons, reader = Persons(RULES), base.reader()
    started = time.monotonic()
    for edges in epochs:
        persons.apply(persons.prepare(edges, reader))
    return time.monotonic() - started


def _bare(epochs: list[pa.Table]) -> float:
    _, codes = codes_of(pa.chunked_array([chunk for name in ("a", "b") for edges in epochs for chunk in edges[name].chunks]))
    pairs = list(zip(*(half.tolist() for half in np.split(codes, 2)), strict=True))
    parent = list(range(int(codes.max()) + 1))
    started = time.monotonic()
    for one, other in pairs:
        while parent[one] != one:
            parent[one] = one = parent[parent[one]]
        while parent[other] != other:
            parent[other] = other = parent[parent[other]]
        parent[other] = one
    return time.monotonic() - started
