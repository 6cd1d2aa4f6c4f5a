"""Computes the answer of a receipt again, from the Delta tables alone: the manifest's pinned versions and the speed rows cut < epoch ≤ head.

Nothing of the store's LMDB or memory is used. The result has the same bytes as the answer had; ReceiptExpired when the versions are no longer kept.
"""

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from millrace.definitions import Definitions
from millrace.errors import CoverageError, MillraceError
from millrace.identity.nodes import by_priority
from millrace.tables.catalogue import BATCH_EDGES, BATCH_NODES, SPEED_EDGES_TABLE, Table, batch_view, speed_view
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import read_manifests
from millrace.times import time_text
from serving.segments.judges import Judges
from serving.segments.watching import Declared
from serving.store.answers import Pinned, answer_with, encode_json
from serving.store.base_building import PERSON
from serving.store.batch_base import Edge, Member, Place
from serving.store.coverage import check_counts, check_edges, check_witnesses, counts_everything
from serving.store.keyed import VIEW, KeyedView, PinnedKey, row_with
from serving.store.layout import Layout, encode
from serving.store.persons import Persons
from serving.store.pinned_tables import LedgerThen, PinnedTables
from serving.store.plan import Plan
from serving.store.receipts import Sealer
from serving.store.regrouping import Person


class ReceiptExpired(MillraceError):
    """The tables no longer hold what the answer was computed from, or it may no longer be used."""


def replay(
    tables: TenantTables, receipt_id: str, *, definitions: Definitions, sealer: Sealer, secret: bytes, declared: Definitions | None = None, now: int
) -> bytes:
    """The bytes of the answer. ForgedReceipt for an id nobody sealed; ReceiptExpired when its versions have been removed, or when at ``now``
    (microseconds) the term is over of something it stands on.

    ``definitions`` are those of the directory: they count only for answers given before the first publish. ``declared``: those whose segments are tried first (default:
    the same). ``secret`` is the tenant's token secret.
    """
    claims = sealer.open(receipt_id)
    if claims.until and claims.until <= now:
        raise ReceiptExpired(f"the answer stood on data of a source with a term, which was over at {time_text(claims.until)}; ask again")
    try:
        then = PinnedTables(tables, claims, definitions)
        if claims.question[:1] == (VIEW,):
            return encode_json(row_with(_row(then, str(claims.question[1])), at=claims.at, now=now, staleness_ms=claims.staleness_ms, sealer=sealer))
        pinned = _Person(then, secret).pinned()
        memberships = _memberships(tables, claims.rules, declared or definitions, pinned) if claims.rules else None
    except (CoverageError, DeltaError, FileNotFoundError) as error:
        raise ReceiptExpired(f"the tables behind this receipt are no longer kept ({' '.join(str(error).split())}); ask again") from error
    asked_id = str(claims.question[1]) if claims.question else None
    return encode_json(answer_with(pinned, at=claims.at, now=now, staleness_ms=claims.staleness_ms, sealer=sealer, memberships=memberships, asked_id=asked_id))


def _memberships(tables: TenantTables, rules_hash: str, newest: Definitions, pinned: Pinned) -> Judges:
    """The segments as they were: those of the directory, or of the last manifest that has the same rules."""
    for definitions in (newest, *(manifest.definitions for manifest in reversed(read_manifests(tables)))):
        judges = Judges(Declared(definitions))
        if judges.rules_of(pinned) == rules_hash:
            return judges
    raise CoverageError("the rules of its segments have been replaced")


class _Person:
    """The person of an answer as it saw the tables. CoverageError when something of them is gone."""

    def __init__(self, tables: PinnedTables, secret: bytes) -> None:
        self._tables, self._claims = tables, tables.claims
        self._rules = tables.definitions.identity.compiled(secret)
        self._view = tables.definitions.views[PERSON]
        self._layout = Layout(self._view)

    def pinned(self) -> Pinned:
        edges = self._tables.speed_rows(SPEED_EDGES_TABLE)
        person = self._person(edges)
        of_person = pc.field("key").isin([member.node for member in person.members])
        increments = speed_view(PERSON, self._view)
        batch = self._layout.fold(self._tables.batch_rows(batch_view(PERSON, self._view), of_person))
        speed = self._layout.fold(self._tables.speed_rows(increments, of_person))
        point = self._tables.point(self._check(edges, increments))
        parts = [[encode(slots) for slots in found.values()] for found in (batch, speed)]
        return Pinned(self._claims.node, point, Plan(self._view, self._layout), person, *parts)

    def _person(self, edges: pa.Table) -> Person:
        nodes = PinnedNodes(self._tables, {self._claims.node, *edges["a"].to_pylist(), *edges["b"].to_pylist()})
        published = self._tables.published_decisions()
        persons = Persons(self._rules, published)
        persons.apply(persons.prepare(edges, nodes))
        if self._claims.decisions != published.number:
            persons.apply(persons.redecide(self._tables.decisions(), nodes))
        person = persons.find(self._claims.node, nodes)
        if person is None:
            raise CoverageError("the tables no longer know the identifier")
        return person

    def _check(self, edges: pa.Table, increments: Table) -> LedgerThen:
        """Speed rows read before this call were whole: trimming never brings rows back."""
        cut, ledger = self._claims.cut, self._tables.ledger()
        check_edges(edges, ledger.accepted, after=cut)
        if counter := counts_everything(self._layout):
            name, hop = counter
            counts = self._tables.speed_rows(increments, pc.field("hop") == hop, columns=["epoch", "hop", name])
            check_counts(counts, ledger.accepted, after=cut, layout=self._layout)
        return ledger


def _row(tables: PinnedTables, view_name: str) -> PinnedKey:
    """A key of another view than that of persons as the answer saw it. CoverageError when something of the tables is gone."""
    view = KeyedView(view_name, tables.definitions.views[view_name])
    key = tables.claims.node
    batch = view.layout.fold(tables.batch_rows(batch_view(view_name, view.view), pc.field("key") == key))
    increments = tables.speed_rows(view.table, (pc.field("key") == key) | pc.field("key").is_null())
    ledger = tables.ledger()
    check_witnesses(increments, ledger.accepted, after=tables.claims.cut, where=view.table.name)
    speed = view.layout.fold(increments.filter(pc.is_valid(increments["key"])))
    parts = [[encode(slots) for slots in found.values()] for found in (batch, speed)]
    return PinnedKey(view_name, key, view.keyed, tables.point(ledger), view.plan, *parts)


class PinnedNodes:
    """``batch/nodes`` at the manifest's version: what edges may join is read at once, members of a person or a component when asked for."""

    def __init__(self, tables: PinnedTables, nodes: set[str]) -> None:
        self._tables = tables
        parted = tables.batch_rows(BATCH_NODES, pc.field("person_id") != pc.field("component"))
        self._contested = set(parted["component"].to_pylist())
        self._places: dict[str, Place | None] = {}
        self._blocked: set[str] = set()
        self._learn(nodes)

    def _learn(self, nodes: set[str]) -> None:
        """Reads where nodes stand that were not asked for before."""
        unknown = sorted(nodes - self._places.keys())
        self._places |= dict.fromkeys(unknown)
        for row in self._tables.batch_rows(BATCH_NODES, pc.field("node").isin(unknown)).to_pylist() if unknown else ():
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
        rows = self._tables.batch_rows(BATCH_EDGES, (pc.field("a").isin(nodes) | pc.field("b").isin(nodes)) & (pc.field("a") != pc.field("b")))
        edges = [Edge(row["a"], row["b"], **row["first_seen"]) for row in rows.select(["a", "b", "first_seen"]).to_pylist()]
        self._learn({node for edge in edges for node in edge[:2]})
        return members, [edge for edge in edges if self._blocked.isdisjoint(edge[:2])]

    def _members(self, where: pc.Expression) -> list[Member]:
        rows = self._tables.batch_rows(BATCH_NODES, where).to_pylist()
        members = {row["node"]: Member(row["node"], row["hint"], **row["first_seen"]) for row in rows}
        return [members[node] for node in by_priority(members)]
