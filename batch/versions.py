"""Which batch versions stay: the last few and whatever a reader may still have open. Builds call it after the publish; rollback asks which can serve again."""

import logging
import math

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from millrace.settings import BatchSettings
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import Manifest, kept_manifests

log = logging.getLogger(__name__)


def drop_old_versions(tables: TenantTables, manifests: list[Manifest], settings: BatchSettings) -> None:
    """Deletes the files that none of the newest versions needs, once they are old enough. Called by the one writer after its publish; a failure costs disk, not the publish."""
    kept = kept_manifests(manifests, settings.keep_versions)
    for name in sorted({name for manifest in manifests for name in manifest.tables}):
        versions = sorted({manifest.tables[name] for manifest in kept if name in manifest.tables})
        try:
            found = DeltaTable(tables.path(name))
            files = found.vacuum(retention_hours=math.ceil(settings.keep_files / 3600), dry_run=False, enforce_retention_duration=False, keep_versions=versions)
            log.info("old versions dropped table=%s kept=%s files=%d", name, versions, len(files))
        except DeltaError as error:
            log.warning("old versions stay table=%s error=%s", name, type(error).__name__)
