"""Rollback: publishes an older kept batch version again, by one manifest row. No gap: the speed tables keep every epoch after the oldest kept cut."""

import logging
from dataclasses import replace
from datetime import UTC, datetime

from batch.identity_changes import Version, record_changes
from millrace.errors import ConfigurationError
from millrace.settings import DEFAULTS
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import Manifest, kept_manifests, read_manifests, write_manifest

log = logging.getLogger(__name__)


def roll_back(tables: TenantTables, manifest_id: int, *, keep: int = DEFAULTS.batch.keep_versions) -> Manifest:
    """Makes the version of ``manifest_id`` serve again; ConfigurationError names the ids that are kept when it is not one of them."""
    manifests = read_manifests(tables)
    kept = {m.manifest_id for m in kept_manifests(manifests, keep)}
    wanted = next((m for m in manifests if m.manifest_id == manifest_id), None)
    versions = [m.tables for m in manifests if m.manifest_id in kept]
    if wanted is None or wanted.tables not in versions:
        raise ConfigurationError(f"manifest {manifest_id} is not kept; kept are {', '.join(map(str, sorted(kept))) or 'none'}")
    newest = manifests[-1]
    again = replace(wanted, manifest_id=newest.manifest_id + 1, published_at=datetime.now(UTC), kind="rollback", rolled_back_to=manifest_id)
    again = replace(again, proof=again.proof | {"identity": record_changes(tables, newest, Version.of(again), cause="rollback")})
    write_manifest(tables, again)
    log.info("rolled back manifest_id=%d to=%d cut=%d", again.manifest_id, manifest_id, again.cut)
    return again
