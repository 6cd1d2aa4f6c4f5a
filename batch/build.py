"""A build: recompute at a cut from the ledger, write new versions, prove, publish by one manifest row. Jobs and the runner call ``build``; the caller holds the lease."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from deltalake import DeltaTable
from pyspark.sql import SparkSession

from batch.components import components
from batch.counted import Counted, counted_events
from batch.engines import DriverEngine, Engine, SparkEngine, with_columns
from batch.proof import prove_coverage, prove_invariance
from batch.states import answers_before, recompute, states_of, with_message
from millrace.definitions import Definitions
from millrace.delta import TenantTables
from millrace.errors import ConfigurationError, NothingToDo
from millrace.faults import crash_point
from millrace.ledger import NOTHING, Ledger, read_ledger
from millrace.manifest import Manifest, kept_manifests, read_manifests, write_manifest
from millrace.tables import BATCH_EDGES, BATCH_NODES, EVENTS, batch_view
from millrace.traits import State

log = logging.getLogger(__name__)
IN_DRIVER = 5_000_000
"""Log rows up to which results are merged, compared and written in the driver; above, on Spark's executors."""


def build(spark: SparkSession, tables: TenantTables, definitions: Definitions, *, full: bool = False, keep: int = 5) -> Manifest:
    """Builds and publishes a batch version whose cut is the ledger's head. Incremental from the published version; from the log alone with
    ``full``, at the first build, and when definitions have changed. NothingToDo, ConfigurationError, CoverageError, ProofError publish nothing."""
    ledger = read_ledger(tables)
    manifests = read_manifests(tables)
    serving = manifests[-1] if manifests else None
    _check_work(ledger, definitions, serving=serving, full=full)
    base = serving if serving and serving.definitions_hash == definitions.hash and not full else None
    seconds: dict[str, float] = {}
    for table in (*states_of(definitions), BATCH_NODES):
        tables.create(table)
    engine: Engine = DriverEngine(tables) if ledger.counts()["received"] <= IN_DRIVER else SparkEngine(spark, tables)
    log_rows = with_columns(spark.read.format("delta").load(tables.path(EVENTS)), EVENTS)
    counted = counted_events(log_rows, after=base.cut if base else NOTHING, until=ledger.head)
    events = with_message(counted.events, definitions).persist()
    try:
        with _timed(seconds, "states"):
            versions = {table.name: engine.write(table, rows) for table, rows in recompute(engine, events, definitions, base=base).items()}
    finally:
        events.unpersist()
    with _timed(seconds, "persons"):
        versions[BATCH_NODES.name] = tables.replace(BATCH_NODES, components(tables.read(BATCH_EDGES, version=versions[BATCH_EDGES.name])))
    crash_point("batch.states_written")
    with _timed(seconds, "coverage"):
        coverage = prove_coverage(log_rows, ledger, after=base.cut if base else NOTHING, until=ledger.head)
    with _timed(seconds, "invariance"):
        invariance = _prove(engine, definitions, serving=serving, cut=ledger.head, counted=counted, versions=versions)
    proof: dict[str, Any] = {"head": ledger.head, "base": base.manifest_id if base else None, **coverage, **invariance}
    crash_point("batch.proved")
    manifest = Manifest(
        manifest_id=(serving.manifest_id if serving else 0) + 1, published_at=datetime.now(UTC), kind="incremental" if base else "full", cut=ledger.head,
        offsets=ledger.offsets_json(), tables=versions, definitions_hash=definitions.hash, definitions_json=definitions.to_json(),
        proof=proof | {"seconds": {name: round(value, 3) for name, value in seconds.items()}},
    )  # fmt: skip
    write_manifest(tables, manifest)
    crash_point("batch.manifest_written")
    _drop_old_versions(tables, [*manifests, manifest], keep)
    log.info("published manifest_id=%d kind=%s cut=%d seconds=%s", manifest.manifest_id, manifest.kind, manifest.cut, json.dumps(seconds))
    return manifest


def _check_work(ledger: Ledger, definitions: Definitions, *, serving: Manifest | None, full: bool) -> None:
    if ledger.head == NOTHING:
        raise NothingToDo("the ledger has no epoch yet: nothing to build; send events and run the stream first")
    written_under = ledger.definitions_since(ledger.head - 1)
    if written_under != {definitions.hash}:
        raise ConfigurationError(
            f"the stream writes under definitions {', '.join(sorted(written_under))} but this build has {definitions.hash}; give both the same definitions directory "
            "and restart the stream first, it announces new definitions by an epoch of its own"
        )
    if serving and serving.cut == ledger.head and serving.definitions_hash == definitions.hash and not full:
        raise NothingToDo(f"manifest {serving.manifest_id} already holds every epoch up to {ledger.head}; use --full to recompute it from the log")


def _prove(engine: Engine, definitions: Definitions, *, serving: Manifest | None, cut: int, counted: Counted, versions: dict[str, int]) -> dict[str, Any]:
    """Publish invariance of all tables; raises before anything is published. With changed definitions the states both versions have are compared."""
    after = serving.cut if serving else NOTHING
    escaped = counted.escaped.select("identifiers", "epoch").toArrow().to_pylist()
    touched = {entry["node"] for row in escaped for entry in row["identifiers"]}
    proof: dict[str, Any] = {"compared_with": serving.manifest_id if serving else None, "escaped_duplicates": sum(row["epoch"] > after for row in escaped)}
    before = answers_before(engine, definitions, serving=serving, cut=cut)
    known = {batch_view(name, view).name: view.states for name, view in serving.definitions.views.items()} if serving else {}
    for table, states in states_of(definitions).items():
        common = states if states is None or table.name not in known else comparable_states(states, known[table.name])
        written = engine.at_version(table, versions[table.name])
        proof[table.name] = (
            prove_invariance(engine, table, common, before=before[table], after=written, touched=touched) if common != {} else {"rows_compared": 0}
        )
    return proof


def comparable_states(new: dict[State, frozenset[int]], old: dict[State, frozenset[int]]) -> dict[State, frozenset[int]]:
    """States that both sets of definitions keep, with the hops both keep them for."""
    return {state: hops & old[state] for state, hops in new.items() if state in old and hops & old[state]}


def _drop_old_versions(tables: TenantTables, manifests: list[Manifest], keep: int) -> None:
    kept = kept_manifests(manifests, keep)
    for name in manifests[-1].tables:
        found = DeltaTable(tables.path(name))
        found.vacuum(
            retention_hours=0, dry_run=False, enforce_retention_duration=False, keep_versions=sorted({m.tables[name] for m in kept if name in m.tables})
        )


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[name] = time.monotonic() - started
