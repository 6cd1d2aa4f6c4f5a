"""Manifests: one row publishes one batch version of all views. Batch writes them; every reader resolves the newest one once per request."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from millrace.definitions import Definitions
from millrace.tables.catalogue import MANIFEST, MANIFESTS
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import NOTHING


@dataclass(frozen=True)
class Manifest:
    """A published batch version: ``tables`` are Delta versions by table name, all holding exactly the epochs ≤ ``cut``."""

    manifest_id: int
    published_at: datetime
    kind: str
    cut: int
    offsets: str
    tables: dict[str, int]
    definitions_hash: str
    definitions_json: str
    proof: dict[str, Any]
    rolled_back_to: int | None = None
    decisions: int = 0
    """The last decision about persons that was taken in."""

    @property
    def definitions(self) -> Definitions:
        return Definitions.from_json(self.definitions_json)

    def to_row(self) -> dict[str, Any]:
        row = {name: getattr(self, name) for name in MANIFEST.names if name not in ("tables", "definitions", "proof")}
        return row | {"tables": json.dumps(self.tables, sort_keys=True), "definitions": self.definitions_json, "proof": json.dumps(self.proof, sort_keys=True)}

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> "Manifest":
        kept = {name: row[name] for name in row if name not in ("tables", "definitions", "proof")}
        kept["decisions"] = row.get("decisions") or 0
        return cls(**kept, tables=json.loads(row["tables"]), definitions_json=row["definitions"], proof=json.loads(row["proof"]))


def read_manifests(tables: TenantTables) -> list[Manifest]:
    """All manifests, oldest first."""
    rows = tables.read(MANIFESTS).sort_by("manifest_id").to_pylist()
    return [Manifest.from_row(row) for row in rows]


def latest_manifest(tables: TenantTables) -> Manifest | None:
    """The one that serves now; None before the first publish."""
    manifests = read_manifests(tables)
    return manifests[-1] if manifests else None


def find_manifest(tables: TenantTables, manifest_id: int) -> Manifest | None:
    return next((m for m in read_manifests(tables) if m.manifest_id == manifest_id), None)


def write_manifest(tables: TenantTables, manifest: Manifest) -> None:
    """The publish: one commit, after which every reader sees the new batch version of all views."""
    tables.add(MANIFESTS, pa.Table.from_pylist([manifest.to_row()], schema=MANIFEST))


def kept_manifests(manifests: list[Manifest], keep: int) -> list[Manifest]:
    """The newest ``keep`` distinct batch versions (a rollback points at an older one and keeps it)."""
    kept: dict[str, Manifest] = {}
    for manifest in reversed(manifests):
        kept.setdefault(json.dumps(manifest.tables, sort_keys=True), manifest)
        if len(kept) == keep:
            break
    return list(kept.values())


def oldest_kept_cut(manifests: list[Manifest], keep: int) -> int:
    """Epochs above this one must stay in the speed tables; 0 when nothing may be trimmed."""
    kept = kept_manifests(manifests, keep)
    return min((m.cut for m in kept), default=NOTHING) if len(kept) >= 1 else NOTHING
