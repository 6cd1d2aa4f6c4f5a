"""Questions about identity, answered at the point a receipt names: the API asks at the newest point, a replay at an old one, with the same bytes."""

from collections.abc import Mapping

import pyarrow.compute as pc

from millrace.definitions import Definitions
from millrace.errors import CoverageError, NothingToDo
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import read_manifests
from millrace.traits.finish import time_text
from serving.explain.answers import Explanation, History, ReceiptBlock, SuperNodes, Why
from serving.explain.evidence import PinnedEdges, newest_point
from serving.explain.explaining import connection, explain, supernodes
from serving.explain.history import history
from serving.store.answers import Point
from serving.store.ledger_tail import milliseconds_since
from serving.store.receipts import Claims, Sealer

EXPLAIN, WHY, SUPERNODES = "explain", "why", "supernodes"
MOST_CHANGES = 50
Answer = Explanation | Why | SuperNodes


class Identities:
    """Answers of one tenant. ``definitions`` are those of the directory: they count only before the first publish; ``secret`` is the tenant's token secret."""

    def __init__(self, tables: TenantTables, definitions: Definitions, secret: bytes, sealer: Sealer) -> None:
        self._tables, self._definitions, self._secret, self._sealer = tables, definitions, secret, sealer

    def ask(self, point: Point, question: tuple[str | int, ...], *, node: str = "", now: int, expected: Mapping[str, str] | None = None) -> Answer:
        """The answer at a point, asked at ``now`` (microseconds). ``expected``: persons of nodes as the store has them; CoverageError when they are others."""
        staleness = milliseconds_since(point.committed_at, now)
        claims = Claims(node, point.manifest_id, point.cut, point.head, now, point.definitions_hash, staleness, point.complete, point.decisions, question)
        return self.again(claims, expected=expected)

    def newest(self, question: tuple[str | int, ...], *, node: str = "", now: int) -> Answer:
        """The answer at the newest point, straight from the tables; NothingToDo for an identifier they do not know."""
        point = newest_point(self._tables, self._definitions)
        if node and not PinnedEdges(self._tables, point, self._definitions, self._secret).knows(node):
            raise NothingToDo(f"no event up to epoch {point.head} has this identifier; check the namespace, the value, --root and --tenant")
        return self.ask(point, question, node=node, now=now)

    def again(self, claims: Claims, *, expected: Mapping[str, str] | None = None) -> Answer:
        """The answer that claims stand for. CoverageError, DeltaError or FileNotFoundError when the tables no longer hold it."""
        point = Point(claims.manifest_id, claims.cut, claims.head, claims.definitions_hash, claims.complete, 0, claims.decisions)
        source = PinnedEdges(self._tables, point, self._definitions, self._secret)
        receipt = ReceiptBlock(
            self._sealer.seal(claims), claims.manifest_id, claims.cut, claims.head, time_text(claims.at), claims.definitions_hash, claims.staleness_ms, claims.complete,
            claims.decisions,
        )  # fmt: skip
        kind, argument = claims.question
        if kind == EXPLAIN:
            found = explain(source, claims.node, limit=int(argument))
            _check(expected, {claims.node: found.person_id})
            return Explanation(*found, self._history(source, claims.node), receipt)
        if kind == WHY:
            related = connection(source, claims.node, str(argument))
            _check(expected, {claims.node: related.a.person_id, str(argument): related.b.person_id})
            return Why(related.same_person, related.same_person or bool(related.path), *related[1:], receipt)
        nodes, isolated = supernodes(source, int(argument))
        return SuperNodes(nodes, isolated, receipt)

    def _history(self, source: PinnedEdges, node: str) -> History:
        manifests = [one for one in read_manifests(self._tables) if one.manifest_id <= (source.point.manifest_id or 0)]

        def now() -> str | None:
            known = source.nodes(pc.field("node") == node)["person_id"].to_pylist()
            return known[0] if known else None

        return history(self._tables, manifests, node, now=now, limit=MOST_CHANGES)


def _check(expected: Mapping[str, str] | None, found: Mapping[str, str | None]) -> None:
    """What is explained is what is served, or nothing is said."""
    if expected is not None and dict(expected) != dict(found):
        raise CoverageError("the tables tell of other persons than the store serves; the tables or the store's base are damaged: restart the API, it builds the base again")

