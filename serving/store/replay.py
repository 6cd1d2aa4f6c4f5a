"""Computes the answer of a receipt again, from the Delta tables alone: the manifest's pinned versions and the speed rows cut < epoch ≤ head.

Nothing of the store's LMDB or memory is used. The result has the same bytes as the answer had; ReceiptExpired when the versions are no longer kept.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from millrace.definitions import Definitions
from millrace.errors import CoverageError, MillraceError
from millrace.identity.decisions import UNDECIDED, read_decisions
from millrace.identity.nodes import by_priority
from millrace.tables.catalogue import BATCH_EDGES, BATCH_NODES, SPEED_EDGES_TABLE, Table, batch_view, speed_view
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import read_ledger
from millrace.tables.manifest import Manifest, find_manifest, read_manifests
from serving.segments.judges import Judges
from serving.segments.watching import Declared
from serving.store.answers import Pinned, Point, answer_with, encode_json
from serving.store.base_building import PERSON
from serving.store.batch_base import Edge, Member, Place
from serving.store.coverage import check_counts, check_edges, counts_everything
from serving.store.layout import Layout, encode
from serving.store.persons import Persons
from serving.store.plan import Plan
from serving.store.receipts import Claims, Sealer
from serving.store.regrouping import Person


class ReceiptExpired(MillraceError):
    """The tables no longer hold what the answer was computed from."""


def replay(
    tables: TenantTables, receipt_id: str, *, definitions: Definitions, sealer: Sealer, secret: bytes, declared: Definitions | None = None
) -> bytes:
    """The bytes of the answer. ForgedReceipt for an id nobody sealed; ReceiptExpired when its versions have been removed.

    ``definitions`` are those of the directory: they count only for answers given before the first publish. ``declared``: those whose segments are tried first (default:
    the same). ``secret`` is the tenant's token secret.
    """
    claims = sealer.open(receipt_id)
    try:
        pinned = _Replay(tables, claims, definitions, secret).pinned()
        memberships = _memberships(tables, claims.rules, declared or definitions, pinned) if claims.rules else None
    except (CoverageError, DeltaError, FileNotFoundError) as error:
        raise ReceiptExpired(f"the tables behind this receipt are no longer kept ({' '.join(str(error).split())}); ask for the profile again") from error
    asked_id = str(claims.question[1]) if claims.question else None
    return encode_json(answer_with(pinned, at=claims.at, staleness_ms=claims.staleness_ms, sealer=sealer, memberships=memberships, asked_id=asked_id))


def _memberships(tables: TenantTables, rules_hash: str, newest: Definitions, pinned: Pinned) -> Judges:
    """The segments as they were: those of the directory, or of the last manifest that has the same rules."""
    for definitions in (newest, *(manifest.definitions for manifest in reversed(read_manifests(tables)))):
        judges = Judges(Declared(definitions))
        if judges.rules_of(pinned) == rules_hash:
            return judges
    raise CoverageError("the rules of its segments have been replaced")


class _Replay:
    """The tables as the answer saw them. CoverageError when something of it is gone."""

    def __init__(self, tables: TenantTables, claims: Claims, newest: Definitions, secret: bytes) -> None:
        self._tables, self._claims = tables, claims
        self._manifest = None if claims.manifest_id is None else self._find_manifest(claims.manifest_id)
        definitions = self._manifest.definitions if self._manifest else newest
        if definitions.hash != claims.definitions_hash:
            raise CoverageError(f"the definitions {claims.definitions_hash} have been replaced before any batch version kept them")
        self._rules = definitions.identity.compiled(secret)
        self._view = definitions.views[PERSON]
        self._layout = Layout(self._view)

    def pinned(self) -> Pinned:
        claims = self._claims
        edges = self._speed_rows(SPEED_EDGES_TABLE)
        person = self._person(edges)
        of_person = pc.field("key").isin([member.node for member in person.members])
        increments = speed_view(PERSON, self._view)
        batch = self._layout.fold(self.batch_rows(batch_view(PERSON, self._view), of_person))
        speed = self._layout.fold(self._speed_rows(increments, of_person))
        committed_at = self._check(edges, increments)
        point = Point(claims.manifest_id, claims.cut, claims.head, claims.definitions_hash, claims.complete, committed_at, claims.decisions)
        parts = [[encode(slots) for slots in found.values()] for found in (batch, speed)]
        return Pinned(claims.node, point, Plan(self._view, self._layout), person, *parts)

    def batch_rows(self, table: Table, where: pc.Expression) -> pa.Table:
        """Rows of a batch table at the manifest's version; none before the first publish."""
        if self._manifest is None:
            return table.schema.empty_table()
        if table.name not in self._manifest.tables:
            raise CoverageError(f"manifest {self._manifest.manifest_id} does not name {table.name}")
        return self._tables.read(table, where=where, version=self._manifest.tables[table.name])

    def _find_manifest(self, manifest_id: int) -> Manifest:
        manifest = find_manifest(self._tables, manifest_id)
        if manifest is None:
            raise CoverageError(f"manifest {manifest_id} is gone")
        return manifest

    def _person(self, edges: pa.Table) -> Person:
        nodes = PinnedNodes(self, {self._claims.node, *edges["a"].to_pylist(), *edges["b"].to_pylist()})
        published = read_decisions(self._tables, upto=self._manifest.decisions) if self._manifest else UNDECIDED
        persons = Persons(self._rules, published)
        persons.apply(persons.prepare(edges, nodes))
        if self._claims.decisions != published.number:
            persons.apply(persons.redecide(read_decisions(self._tables, upto=self._claims.decisions), nodes))
        person = persons.find(self._claims.node, nodes)
        if person is None:
            raise CoverageError("the tables no longer know the identifier")
        return person

    def _speed_rows(self, table: Table, where: pc.Expression | None = None, *, columns: Sequence[str] | None = None) -> pa.Table:
        epochs = (pc.field("epoch") > self._claims.cut) & (pc.field("epoch") <= self._claims.head)
        return self._tables.read(table, columns=columns, where=epochs if where is None else epochs & where)

    def _check(self, edges: pa.Table, increments: Table) -> int:
        """Speed rows read before this call were whole: trimming never brings rows back. Returns when the head came to exist, in microseconds."""
        claims, ledger = self._claims, read_ledger(self._tables, head=self._claims.head).rows
        accepted = np.zeros(claims.head + 1, np.int64)
        np.add.at(accepted, ledger["epoch"].to_numpy(), ledger["accepted"].to_numpy())
        check_edges(edges, accepted[claims.cut + 1 :], after=claims.cut)
        if counter := counts_everything(self._layout):
            name, hop = counter
            counts = self._speed_rows(increments, pc.field("hop") == hop, columns=["epoch", "hop", name])
            check_counts(counts, accepted[claims.cut + 1 :], after=claims.cut, layout=self._layout)
        return pc.max(ledger.filter(pc.field("epoch") == claims.head)["committed_at"].cast(pa.int64())).as_py() or 0


class PinnedNodes:
    """``batch/nodes`` at the manifest's version: what edges may join is read at once, members of a person or a component when asked for."""

    def __init__(self, replay: _Replay, nodes: set[str]) -> None:
        self._replay = replay
        parted = replay.batch_rows(BATCH_NODES, pc.field("person_id") != pc.field("component"))
        self._contested = set(parted["component"].to_pylist())
        self._places: dict[str, Place | None] = {}
        self._blocked: set[str] = set()
        self._learn(nodes)

    def _learn(self, nodes: set[str]) -> None:
        """Reads where nodes stand that were not asked for before."""
        unknown = sorted(nodes - self._places.keys())
        self._places |= dict.fromkeys(unknown)
        for row in self._replay.batch_rows(BATCH_NODES, pc.field("node").isin(unknown)).to_pylist() if unknown else ():
            self._places[row["node"]] = Place(row["person_id"], row["component"], row["component"] in self._contested, row["isolated"] is not None, row.get("linked") or 0)
            if row["isolated"] == "blocked":
                self._blocked.add(row["node"])

    def person_of(self, node: str) -> str | None:
        found = self.place(node)
        return None if found is None else found.person_id

    def place(self, node: str) -> Place | None:
        self._learn({node})
        return self._places[node]

    def members(self, person_id: str) -> list[Member]:
        return self._members(pc.field("person_id") == person_id)

    def component(self, component: str) -> tuple[list[Member], list[Edge]]:
        members = self._members(pc.field("component") == component)
        nodes = [member.node for member in members]
        rows = self._replay.batch_rows(BATCH_EDGES, (pc.field("a").isin(nodes) | pc.field("b").isin(nodes)) & (pc.field("a") != pc.field("b")))
        edges = [Edge(row["a"], row["b"], **row["first_seen"]) for row in rows.select(["a", "b", "first_seen"]).to_pylist()]
        self._learn({node for edge in edges for node in edge[:2]})
        return members, [edge for edge in edges if self._blocked.isdisjoint(edge[:2])]

    def _members(self, where: pc.Expression) -> list[Member]:
        rows = self._replay.batch_rows(BATCH_NODES, where).to_pylist()
        members = {row["node"]: Member(row["node"], row["hint"], **row["first_seen"]) for row in rows}
        return [members[node] for node in by_priority(members)]
