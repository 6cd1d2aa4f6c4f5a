"""A build: recompute at a cut from the ledger, write new versions, prove, publish by one manifest row. Jobs and the runner call ``build``; the caller holds the lease."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from deltalake import DeltaTable
from pyspark.sql import SparkSession

from batch.driver_engine import DriverEngine
from batch.engines import Engine
from batch.identity_changes import Version, record_changes, tidy_changes
from batch.parts import tables_of
from batch.persons import write_persons
from batch.proof import prove_coverage, prove_invariance
from batch.respelling import Respelling
from batch.spark_engine import SparkEngine, working_session
from batch.states import write_states
from batch.versions import drop_old_versions
from millrace.definitions import Definitions
from millrace.errors import ConfigurationError, CoverageError, NothingToDo
from millrace.expiry import read_gone
from millrace.faults import crash_point
from millrace.identity.decisions import read_decisions
from millrace.keys import read_keys
from millrace.settings import DEFAULTS, BatchSettings
from millrace.tables.catalogue import BATCH_NODES, BATCH_REFUSED
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import NOTHING, Ledger, read_ledger
from millrace.tables.manifest import Manifest, read_manifests, write_manifest
from millrace.traits.dead_tiles import Gone

log = logging.getLogger(__name__)


def build(spark: SparkSession, tables: TenantTables, definitions: Definitions, *, full: bool = False, settings: BatchSettings = DEFAULTS.batch) -> Manifest:
    """Builds and publishes a batch version whose cut is the ledger's head. Incremental from the published version; from the log alone with
    ``full``, at the first build, and when definitions have changed. NothingToDo, ConfigurationError, CoverageError, ProofError publish nothing."""
    ledger = read_ledger(tables)
    manifests = read_manifests(tables)
    serving = manifests[-1] if manifests else None
    decisions = read_decisions(tables)
    gone = read_gone(tables, definitions.terms)
    _check_work(ledger, definitions, serving=serving, full=full, stands_on=(decisions.number, gone))
    secret = read_keys(tables.root, tables.tenant).token_secret
    rules = definitions.identity.compiled(secret)
    base = serving if serving and serving.definitions_hash == definitions.hash and not full else None
    after, served = (manifest.cut if manifest else NOTHING for manifest in (base, serving))
    for table in (*tables_of(definitions), BATCH_NODES, BATCH_REFUSED):
        tables.create(table)
    seconds: dict[str, float] = {}
    respelling = Respelling(ledger.respelt_until(definitions.identity.normaliser), secret)
    engine = _engine(spark, tables, settings, log_rows=_received(ledger, after=after), serving=serving, respelling=respelling, gone=gone)
    try:
        with _timed(seconds, "log"):
            found = engine.log_slice(definitions, after=after, until=ledger.head, served=served)
            coverage = prove_coverage(found, ledger, after=after)
        with _timed(seconds, "states"):
            versions = write_states(engine, found, definitions, persons=partial(write_persons, tables, rules, decisions, spark=spark, settings=settings), base=base)
        crash_point("batch.states_written")
        with _timed(seconds, "invariance"):
            invariance = prove_invariance(engine, found, definitions, serving=serving, ledger=ledger, versions=versions)
    finally:
        engine.close()
    manifest_id = (serving.manifest_id if serving else 0) + 1
    with _timed(seconds, "identity"):
        identity = record_changes(tables, serving, Version(manifest_id, ledger.head, definitions.identity, versions[BATCH_NODES], decisions.number))
    crash_point("batch.proved")
    proof: dict[str, Any] = {"head": ledger.head, "base": base.manifest_id if base else None, "engine": type(engine).__name__, "identity": identity, "gone": gone, **coverage, **invariance}
    manifest = Manifest(
        manifest_id=manifest_id, published_at=datetime.now(UTC), kind="incremental" if base else "full", cut=ledger.head,
        offsets=ledger.offsets_json(), tables={table.name: version for table, version in versions.items()},
        definitions_hash=definitions.hash, definitions_json=definitions.to_json(),
        decisions=decisions.number, proof=proof | {"seconds": {name: round(value, 3) for name, value in seconds.items()}},
    )  # fmt: skip
    write_manifest(tables, manifest)
    crash_point("batch.manifest_written")
    drop_old_versions(tables, [one for one in (*manifests, manifest) if one.proof.get("gone", {}) == gone], settings)  # others hold what is over
    tidy_changes(tables, settings)
    log.info("published manifest_id=%d kind=%s cut=%d seconds=%s", manifest.manifest_id, manifest.kind, manifest.cut, json.dumps(manifest.proof["seconds"]))
    return manifest


def check_work(tables: TenantTables, definitions: Definitions, *, full: bool) -> None:
    """NothingToDo, ConfigurationError or CoverageError when a build would raise it before it needs Spark."""
    manifests = read_manifests(tables)
    stands_on = read_decisions(tables).number, read_gone(tables, definitions.terms)
    _check_work(read_ledger(tables), definitions, serving=manifests[-1] if manifests else None, full=full, stands_on=stands_on)


def _check_work(ledger: Ledger, definitions: Definitions, *, serving: Manifest | None, full: bool, stands_on: tuple[int, dict[str, int]]) -> None:
    if serving and (serving.cut > ledger.head or serving.offsets != ledger.offsets_json(serving.cut)):
        raise CoverageError(
            f"manifest {serving.manifest_id} stands on epoch {serving.cut} and offsets {serving.offsets}, but the ledger ends at epoch {ledger.head} and has offsets "
            f"{ledger.offsets_json(serving.cut)} there; restore log/ledger from a backup"
        )
    if ledger.head == NOTHING:
        raise NothingToDo("the ledger has no epoch yet: nothing to build; send events and run the stream first")
    written_under = ledger.definitions_since(ledger.head - 1)
    if written_under != {definitions.hash}:
        raise ConfigurationError(
            f"the stream writes under definitions {', '.join(sorted(written_under))} but this build has {definitions.hash}; give both the same definitions directory "
            "and run the stream first, it announces new definitions by an epoch of its own, a running one within seconds"
        )
    served = (serving.cut, serving.definitions_hash, (serving.decisions, serving.proof.get("gone", {}))) if serving else None
    if not full and serving and served == (ledger.head, definitions.hash, stands_on):
        raise NothingToDo(f"manifest {serving.manifest_id} already holds every epoch up to {ledger.head}; use --full to recompute it from the log")


def _received(ledger: Ledger, *, after: int) -> int:
    """Records of the epochs after a cut."""
    return ledger.counts(ledger.head)["received"] - ledger.counts(after)["received"]


def _engine(spark: SparkSession, tables: TenantTables, settings: BatchSettings, *, log_rows: int, serving: Manifest | None, respelling: Respelling, gone: Gone) -> Engine:
    """The driver for what fits it."""
    published = sum(DeltaTable(tables.path(name), version=version).count() for name, version in serving.tables.items()) if serving else 0
    if log_rows <= settings.in_driver_rows and published <= 4 * settings.in_driver_rows:
        return DriverEngine(tables, respelling, gone)
    partitions = max(spark.sparkContext.defaultParallelism, (log_rows * 2 + published) // settings.partition_rows)
    return SparkEngine(working_session(spark, partitions), tables, partitions=partitions, respelling=respelling, gone=gone)


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[name] = time.monotonic() - started
