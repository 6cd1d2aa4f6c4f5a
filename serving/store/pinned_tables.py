"""The Delta tables as an answer saw them: the manifest's pinned versions, and the rows of speed tables with cut < epoch ≤ head. replay.py computes answers from them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.definitions import Definitions
from millrace.errors import CoverageError
from millrace.identity.decisions import UNDECIDED, Decisions, read_decisions
from millrace.tables.catalogue import Table
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import read_ledger
from millrace.tables.manifest import Manifest, find_manifest
from serving.store.answers import Point
from serving.store.receipts import Claims


class LedgerThen(NamedTuple):
    """Events of each epoch after the cut up to the head, and when the head came to exist, in microseconds."""

    accepted: np.ndarray
    committed_at: int


class PinnedTables:
    """Of the claims of a receipt. ``newest``: definitions for answers from before the first publish. CoverageError when something of the tables is gone."""

    def __init__(self, tables: TenantTables, claims: Claims, newest: Definitions) -> None:
        self._tables, self.claims = tables, claims
        self.manifest = None if claims.manifest_id is None else self._find_manifest(claims.manifest_id)
        self.definitions = self.manifest.definitions if self.manifest else newest
        if self.definitions.hash != claims.definitions_hash:
            raise CoverageError(f"the definitions {claims.definitions_hash} have been replaced before any batch version kept them")

    def batch_rows(self, table: Table, where: pc.Expression) -> pa.Table:
        """Rows of a batch table at the manifest's version; none before the first publish."""
        if self.manifest is None:
            return table.schema.empty_table()
        if table.name not in self.manifest.tables:
            raise CoverageError(f"manifest {self.manifest.manifest_id} does not name {table.name}")
        return self._tables.read(table, where=where, version=self.manifest.tables[table.name])

    def speed_rows(self, table: Table, where: pc.Expression | None = None, *, columns: Sequence[str] | None = None) -> pa.Table:
        epochs = (pc.field("epoch") > self.claims.cut) & (pc.field("epoch") <= self.claims.head)
        return self._tables.read(table, columns=columns, where=epochs if where is None else epochs & where)

    def ledger(self) -> LedgerThen:
        claims, rows = self.claims, read_ledger(self._tables, head=self.claims.head).rows
        accepted = np.zeros(claims.head + 1, np.int64)
        np.add.at(accepted, rows["epoch"].to_numpy(), pc.subtract(rows["accepted"], rows["with_term"].fill_null(0)).to_numpy())
        committed_at = pc.max(rows.filter(pc.field("epoch") == claims.head)["committed_at"].cast(pa.int64())).as_py() or 0
        return LedgerThen(accepted[claims.cut + 1 :], committed_at)

    def point(self, ledger: LedgerThen) -> Point:
        """Where the answer stood."""
        claims = self.claims
        return Point(claims.manifest_id, claims.cut, claims.head, claims.definitions_hash, claims.complete, ledger.committed_at, claims.decisions)

    def published_decisions(self) -> Decisions:
        return read_decisions(self._tables, upto=self.manifest.decisions) if self.manifest else UNDECIDED

    def decisions(self) -> Decisions:
        """All that the answer followed."""
        return read_decisions(self._tables, upto=self.claims.decisions)

    def _find_manifest(self, manifest_id: int) -> Manifest:
        manifest = find_manifest(self._tables, manifest_id)
        if manifest is None:
            raise CoverageError(f"manifest {manifest_id} is gone")
        return manifest
