"""A build: recompute at a cut from the ledger, write new versions, prove, publish by one manifest row. Jobs and the runner call ``build``; the caller holds the lease."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

from batch.components import components
from batch.proof import prove_coverage, prove_edges, prove_view
from batch.states import Recomputed, answers_before, read, recompute
from millrace.definitions import Definitions
from millrace.delta import TenantTables
from millrace.errors import ConfigurationError, NothingToDo
from millrace.faults import crash_point
from millrace.ledger import NOTHING, Ledger, read_ledger
from millrace.manifest import Manifest, kept_manifests, read_manifests, write_manifest
from millrace.tables import BATCH_EDGES, BATCH_NODES, EVENTS, Table, batch_view
from millrace.traits import State

log = logging.getLogger(__name__)
IN_DRIVER = 5_000_000
"""Log rows up to which results go through the driver as Arrow and are written by delta-rs, which saves a second a table; above, Spark writes."""


def build(spark: SparkSession, tables: TenantTables, definitions: Definitions, *, full: bool = False, keep: int = 5) -> Manifest:
    """Builds and publishes a batch version whose cut is the ledger's head. Incremental from the published version; from the log alone with
    ``full``, at the first build, and when definitions have changed. NothingToDo, ConfigurationError, CoverageError, ProofError publish nothing."""
    ledger = read_ledger(tables)
    manifests = read_manifests(tables)
    serving = manifests[-1] if manifests else None
    _check_work(ledger, definitions, serving=serving, full=full)
    base = serving if serving and serving.definitions_hash == definitions.hash and not full else None
    seconds: dict[str, float] = {}
    for table in (*(batch_view(name, view) for name, view in definitions.views.items()), BATCH_EDGES, BATCH_NODES):
        tables.create(table)
    recomputed = recompute(spark, tables, definitions, base=base, cut=ledger.head)
    try:
        with _timed(seconds, "states"):
            versions = {table.name: _write(tables, table, frame, small=ledger.counts()["received"] <= IN_DRIVER) for table, frame in recomputed.tables.items()}
        with _timed(seconds, "persons"):
            edges = tables.read(BATCH_EDGES, version=versions[BATCH_EDGES.name])
            versions[BATCH_NODES.name] = tables.replace(BATCH_NODES, components(edges))
        crash_point("batch.states_written")
        proof = _prove(spark, tables, definitions, serving=serving, base=base, ledger=ledger, recomputed=recomputed, versions=versions, seconds=seconds)
    finally:
        recomputed.counted.events.unpersist()
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


def _write(tables: TenantTables, table: Table, frame: DataFrame, *, small: bool) -> int:
    """Replaces the rows of a batch table; nobody reads the new version before a manifest names it."""
    if small:
        return tables.replace(table, frame.toArrow())
    frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(tables.path(table))
    return DeltaTable(tables.path(table)).version()


def _prove(
    spark: SparkSession, tables: TenantTables, definitions: Definitions, *,
    serving: Manifest | None, base: Manifest | None, ledger: Ledger, recomputed: Recomputed, versions: dict[str, int], seconds: dict[str, float],
) -> dict[str, Any]:  # fmt: skip
    """Figures of the proof; raises before anything is published. With changed definitions the states both versions have are compared."""
    proof: dict[str, Any] = {"head": ledger.head, "base": base.manifest_id if base else None, "compared_with": serving.manifest_id if serving else None}
    with _timed(seconds, "coverage"):
        proof |= prove_coverage(read(spark, tables, EVENTS), ledger, after=base.cut if base else NOTHING, until=ledger.head)
        escaped = recomputed.counted.escaped.select("identifiers", "epoch").toArrow().to_pylist()
    touched = {entry["node"] for row in escaped for entry in row["identifiers"]}
    proof |= {"escaped_duplicates": sum(row["epoch"] > (serving.cut if serving else NOTHING) for row in escaped)}
    before = answers_before(spark, tables, definitions, base=serving, cut=ledger.head)
    with _timed(seconds, "invariance"):
        for name, view in definitions.views.items():
            table = batch_view(name, view)
            after = spark.read.format("delta").option("versionAsOf", versions[table.name]).load(tables.path(table))
            common = comparable_states(
                view.states, serving.definitions.states.get(name, {}) if serving and serving.definitions_hash != definitions.hash else view.states
            )
            proof[table.name] = prove_view(before[table], after, common, touched=touched) if common else {"rows_compared": 0}
        after = spark.read.format("delta").option("versionAsOf", versions[BATCH_EDGES.name]).load(tables.path(BATCH_EDGES))
        proof[BATCH_EDGES.name] = prove_edges(before[BATCH_EDGES], after, touched=touched)
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
