"""Computes the answer of a receipt again, from the Delta tables alone: the manifest's pinned versions and the speed rows cut < epoch ≤ head.

Nothing of the store's LMDB or memory is used. The result has the same bytes as the answer had; ReceiptExpired when the versions are no longer kept.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from millrace.definitions import Definitions
from millrace.delta import TenantTables
from millrace.errors import CoverageError, MillraceError
from millrace.ledger import read_ledger
from millrace.manifest import Manifest, find_manifest
from millrace.tables import BATCH_NODES, SPEED_EDGES_TABLE, Table, batch_view, speed_view
from serving.store.answers import Pinned, Point, answer_with, encode_json
from serving.store.base_building import PERSON
from serving.store.batch_base import Member
from serving.store.generation import check_edges
from serving.store.layout import Layout, encode
from serving.store.persons import Persons
from serving.store.plan import Plan
from serving.store.receipts import Claims, Sealer


class ReceiptExpired(MillraceError):
    """The tables no longer hold what the answer was computed from."""


class PinnedNodes:
    """``batch/nodes`` at the manifest's version: what edges may join is read at once, members of a person when asked for."""

    def __init__(self, tables: TenantTables, manifest: Manifest | None, nodes: set[str]) -> None:
        self._tables, self._manifest = tables, manifest
        rows = self._read(pc.field("node").isin(sorted(nodes)))
        self._person_of = dict(zip(rows["node"].to_pylist(), rows["person_id"].to_pylist(), strict=True))

    def person_of(self, node: str) -> str | None:
        return self._person_of.get(node)

    def members(self, person_id: str) -> list[Member]:
        rows = self._read(pc.field("person_id") == person_id)
        return [Member(row["node"], row["hint"], **row["first_seen"]) for row in rows.to_pylist()]

    def _read(self, where: pc.Expression) -> pa.Table:
        return read_pinned(self._tables, BATCH_NODES, self._manifest, where=where)


def replay(tables: TenantTables, receipt_id: str, *, definitions: Definitions, sealer: Sealer) -> bytes:
    """The bytes of the answer. ForgedReceipt for an id nobody sealed; ReceiptExpired when its versions have been removed.

    ``definitions`` are those of the directory: they count only for answers given before the first publish.
    """
    claims = sealer.open(receipt_id)
    try:
        pinned = _pin_again(tables, claims, definitions)
    except (CoverageError, DeltaError, FileNotFoundError) as error:
        raise ReceiptExpired(f"the tables behind this receipt are no longer kept ({' '.join(str(error).split())}); ask for the profile again") from error
    return encode_json(answer_with(pinned, at=claims.at, staleness_ms=claims.staleness_ms, sealer=sealer))


def _pin_again(tables: TenantTables, claims: Claims, newest: Definitions) -> Pinned:
    manifest = find_manifest(tables, claims.manifest_id) if claims.manifest_id is not None else None
    if claims.manifest_id is not None and manifest is None:
        raise CoverageError(f"manifest {claims.manifest_id} is gone")
    definitions = manifest.definitions if manifest else newest
    if definitions.hash != claims.definitions_hash:
        raise CoverageError(f"the definitions {claims.definitions_hash} have been replaced before any batch version kept them")
    view = definitions.views[PERSON]
    layout = Layout(view)
    edges = _speed_rows(tables, SPEED_EDGES_TABLE, claims)
    ledger = read_ledger(tables, head=claims.head)
    _check(ledger.rows, edges, claims)
    base = PinnedNodes(tables, manifest, {claims.node, *edges["a"].to_pylist(), *edges["b"].to_pylist()})
    persons = Persons()
    persons.apply(persons.prepare(edges, base))
    person = persons.find(claims.node, base)
    if person is None:
        raise CoverageError("the tables no longer know the identifier")
    of_person = pc.field("key").isin([member.node for member in person.members])
    batch = layout.fold(read_pinned(tables, batch_view(PERSON, view), manifest, where=of_person))
    speed = layout.fold(_speed_rows(tables, speed_view(PERSON, view), claims, where=of_person))
    committed_at = pc.max(ledger.rows.filter(pc.field("epoch") == claims.head)["committed_at"].cast(pa.int64())).as_py() or 0
    point = Point(claims.manifest_id, claims.cut, claims.head, claims.definitions_hash, claims.complete, committed_at)
    return Pinned(claims.node, point, Plan(view, layout), person, [encode(slots) for slots in batch.values()], [encode(slots) for slots in speed.values()])


def read_pinned(tables: TenantTables, table: Table, manifest: Manifest | None, *, where: pc.Expression) -> pa.Table:
    """Rows of a batch table at the manifest's version; none before the first publish. CoverageError when the version is gone."""
    if manifest is None:
        return table.schema.empty_table()
    if table.name not in manifest.tables:
        raise CoverageError(f"manifest {manifest.manifest_id} does not name {table.name}")
    return tables.read(table, where=where, version=manifest.tables[table.name])


def _speed_rows(tables: TenantTables, table: Table, claims: Claims, *, where: pc.Expression | None = None) -> pa.Table:
    epochs = (pc.field("epoch") > claims.cut) & (pc.field("epoch") <= claims.head)
    return tables.read(table, where=epochs if where is None else epochs & where)


def _check(ledger: pa.Table, edges: pa.Table, claims: Claims) -> None:
    """CoverageError when the speed rows of the receipt have been trimmed: the ledger knows how many events there were."""
    accepted = np.zeros(claims.head + 1, np.int64)
    np.add.at(accepted, ledger["epoch"].to_numpy(), ledger["accepted"].to_numpy())
    check_edges(edges, accepted[claims.cut + 1 :], after=claims.cut)
