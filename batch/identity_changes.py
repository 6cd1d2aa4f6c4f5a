"""What a publish changes in who is who: two versions of the nodes compared, a row for each node that is not where it was. build.py and rollback.py call it.

Rows carry the id of the manifest that is about to be written and count once it exists: what a build that died has left is replaced by the next one,
and readers look no further than the newest manifest. A rollback has rows too, so that the rows of all manifests in turn lead from nothing to what serves.
"""

import logging
import math
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from millrace.errors import CoverageError
from millrace.identity.rules import IdentityRules
from millrace.settings import BatchSettings
from millrace.tables.catalogue import BATCH_NODES, IDENTITY_CHANGES
from millrace.tables.delta import TenantTables, conform
from millrace.tables.ledger import NOTHING
from millrace.tables.manifest import Manifest

log = logging.getLogger(__name__)
MOST_FILES = 50
"""Publishes whose rows lie in files of their own."""
_NAMED = ["node", "person_id", "isolated"]
_CHANGED = """
    SELECT coalesce(old.node, new.node) AS node, old.person_id AS person_before, new.person_id AS person_after,
        old.isolated AS isolated_before, new.isolated AS isolated_after
    FROM before AS old FULL JOIN after AS new ON old.node = new.node
    WHERE old.person_id IS DISTINCT FROM new.person_id OR old.isolated IS DISTINCT FROM new.isolated
"""
_JUDGED = """
    WITH met AS (
        SELECT old.person_id AS person_before, new.person_id AS person_after FROM before AS old JOIN after AS new ON old.node = new.node
        WHERE old.person_id IN (SELECT person_before FROM changed WHERE person_after IS NOT NULL)
            OR new.person_id IN (SELECT person_after FROM changed WHERE person_before IS NOT NULL)
    ),
    spread AS (SELECT person_before, count(DISTINCT person_after) AS persons FROM met GROUP BY person_before),
    gathered AS (SELECT person_after, count(DISTINCT person_before) AS persons FROM met GROUP BY person_after)
    SELECT node, CASE
            WHEN changed.person_before IS NULL THEN 'new'
            WHEN changed.person_after IS NULL THEN 'gone'
            WHEN isolated_after IS NOT NULL AND isolated_after IS DISTINCT FROM isolated_before THEN 'isolated'
            WHEN isolated_before IS NOT NULL AND isolated_after IS NULL THEN 'freed'
            WHEN spread.persons > 1 AND gathered.persons > 1 THEN 'moved'
            WHEN spread.persons > 1 THEN 'split'
            WHEN gathered.persons > 1 THEN 'merged'
            ELSE 'renamed' END AS change,
        changed.person_before, changed.person_after, isolated_before, isolated_after
    FROM changed LEFT JOIN spread ON changed.person_before = spread.person_before LEFT JOIN gathered ON changed.person_after = gathered.person_after
    ORDER BY node
"""
_IDS = """
    SELECT (SELECT count(*) FROM (SELECT person_after FROM changed EXCEPT SELECT person_id FROM before) WHERE person_after IS NOT NULL),
        (SELECT count(*) FROM (SELECT person_before FROM changed EXCEPT SELECT person_id FROM after) WHERE person_before IS NOT NULL)
"""


@dataclass(frozen=True)
class Version:
    """A batch version that is about to be published: the manifest's id-to-be, its cut, its rules of identity, the Delta version of its nodes and the last
    decision they follow."""

    manifest_id: int
    cut: int
    identity: IdentityRules
    nodes: int
    decisions: int = 0

    @classmethod
    def of(cls, manifest: Manifest) -> "Version":
        return cls(manifest.manifest_id, manifest.cut, manifest.definitions.identity, manifest.tables[BATCH_NODES.name], manifest.decisions)


def record_changes(tables: TenantTables, served: Manifest | None, version: Version, *, cause: str | None = None) -> dict[str, Any]:
    """Writes the rows of a publish and returns their counts, for its proof. Called by the one writer; again with the same manifest id it replaces its rows.

    A served version that can no longer be read keeps no newer one from being published, nor an older one from serving again: then nothing is known of the
    changes, and the counts say so.
    """
    _drop_leftovers(tables, version.manifest_id)
    cause = cause or cause_of(served, version)
    try:
        before = tables.read(BATCH_NODES, version=served.tables[BATCH_NODES.name]) if served else BATCH_NODES.schema.empty_table()
    except (CoverageError, DeltaError, OSError, pa.ArrowException) as error:
        log.error("the history of identity has a hole manifest_id=%d error=%s", version.manifest_id, type(error).__name__)
        return {"cause": cause, "unknown": True}
    after = tables.read(BATCH_NODES, columns=_NAMED, version=version.nodes)
    rows, counts = compared(before, after)
    stamp = {
        "manifest_id": version.manifest_id, "compared_to": served.manifest_id if served else None,
        "cut_before": served.cut if served else NOTHING, "cut": version.cut, "cause": cause,
    }  # fmt: skip
    for name, value in stamp.items():
        rows = rows.append_column(name, pa.repeat(pa.scalar(value, IDENTITY_CHANGES.schema.field(name).type), len(rows)))
    if len(rows):
        tables.add(IDENTITY_CHANGES, rows)
    return {"cause": cause, **counts}


def compared(before: pa.Table, after: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """Nodes that are not where they were (node, change, person and isolation before and after), and counts of nodes by change and of persons."""
    with duckdb.connect(config={"threads": 2}) as database:
        database.register("before", conform(before, pa.schema([BATCH_NODES.schema.field(name) for name in _NAMED])))
        database.register("after", after)
        database.register("changed", database.execute(_CHANGED).to_arrow_table())
        rows = database.execute(_JUDGED).to_arrow_table()
        born, ended = database.execute(_IDS).fetchall()[0]
    counted = rows.group_by("change").aggregate([([], "count_all"), ("person_before", "count_distinct")]).sort_by("change").to_pylist()
    nodes = {f"nodes_{row['change']}": row["count_all"] for row in counted}
    merged, parted = (_persons(rows, *kinds) for kinds in (("merged",), ("split", "moved")))
    return rows, {**nodes, "persons_new": born, "persons_ended": ended, "persons_merged": merged, "persons_split": parted}


def _persons(rows: pa.Table, *changes: str) -> int:
    """How many persons of the version before have nodes that changed so."""
    return len(pc.unique(rows.filter(pc.is_in(rows["change"], value_set=pa.array(changes)))["person_before"]))


def cause_of(served: Manifest | None, version: Version) -> str:
    """``edges`` seen since the served cut, other ``rules``, newer ``decisions``, several of them, or a ``rebuild`` of the same epochs under the same rules."""
    causes = []
    if served is None or served.cut != version.cut:
        causes.append("edges")
    if served is not None and served.definitions.identity != version.identity:
        causes.append("rules")
    if served is not None and served.decisions != version.decisions:
        causes.append("decisions")
    return " and ".join(causes) or "rebuild"


def _drop_leftovers(tables: TenantTables, manifest_id: int) -> None:
    """Deletes what a build has written that died before its manifest."""
    found = tables.create(IDENTITY_CHANGES)
    if rows := len(tables.read(IDENTITY_CHANGES, columns=["manifest_id"], where=pc.field("manifest_id") >= manifest_id)):
        found.delete(f"manifest_id >= {manifest_id}")
        log.info("changes of a publish that never was are dropped manifest_id=%d rows=%d", manifest_id, rows)


def tidy_changes(tables: TenantTables, settings: BatchSettings) -> None:
    """Folds the small files of many publishes into one, and deletes what a fold before has replaced, once it is old enough."""
    found = DeltaTable(tables.path(IDENTITY_CHANGES))
    if len(found.file_uris()) > MOST_FILES:
        found.optimize.compact()
        found.vacuum(retention_hours=math.ceil(settings.keep_files / 3600), dry_run=False, enforce_retention_duration=False)
