"""A tenant under today's rules whose edges are written by hand, batch versions with what each changes in who is who, and what explain says of it."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from batch.identity_changes import Version, record_changes
from millrace.definitions import Definitions
from millrace.identity.decisions import Decisions, read_decisions
from millrace.identity.resolution import resolve
from millrace.tables.catalogue import BATCH_NODES, DECISION, DECISIONS, EDGES
from millrace.tables.manifest import Manifest
from serving.explain.answering import Answer, Identities
from serving.explain.evidence import newest_point
from serving.store.receipts import Sealer
from tests.serving.store.by_hand import SECRET, HandMade, Order, Placed, edges_of

VIEWS = {"person": {"key": "node", "traits": {"orders": {"op": "count", "event": "Order"}}}}
RULED = Definitions.model_validate({"views": VIEWS})
NOW = 1_736_512_200_000_000
ANN, BOB, CAT, DEVICE, KIOSK, MAIL, PHONE = "user_id:ann", "user_id:bob", "user_id:cat", "anonymous_id:d", "anonymous_id:kiosk", "email:m", "phone:p"


class Explained(HandMade):
    """Publishes as builds do, changes of identity included."""

    def __init__(self, root: Path, definitions: Definitions = RULED) -> None:
        super().__init__(root, definitions)

    def nodes(self, placed: list[Placed]) -> pa.Table:
        return resolve(pa.Table.from_pylist(edges_of(placed), schema=EDGES), self.definitions.identity.compiled(SECRET), read_decisions(self.tables)).nodes

    def decided(self) -> int:
        return read_decisions(self.tables).number

    def manifest(self, cut: int, versions: dict[str, int], *, again: Manifest | None = None) -> Manifest:
        served = self.manifests[-1] if self.manifests else None
        decisions = again.decisions if again else self.decided()
        version = Version(len(self.manifests) + 1, cut, self.definitions.identity, versions[BATCH_NODES.name], decisions)
        record_changes(self.tables, served, version, cause="rollback" if again else None)
        return super().manifest(cut, versions, again=again)

    def decide(self, kind: str, a: str | None = None, b: str | None = None, *, withdraws: int | None = None) -> int:
        """The number of a decision, written."""
        number = read_decisions(self.tables).number + 1
        row = {"decision_id": number, "decided_at": datetime(2025, 1, 10, tzinfo=UTC), "kind": kind, "a": a, "b": b, "withdraws": withdraws}
        self.tables.add(DECISIONS, pa.Table.from_pylist([row], schema=DECISION))
        return number

    def decide_all(self, decisions: Decisions) -> None:
        for kind, pairs in (("join", decisions.joined), ("part", decisions.parted)):
            for a, b in sorted(pairs):
                self.decide(kind, a, b)
        for node in sorted(decisions.removed):
            self.decide("remove", node)

    def ask(self, question: tuple[str | int, ...], node: str = "") -> Answer:
        identities = Identities(self.tables, self.definitions, SECRET, Sealer(SECRET))
        return identities.ask(newest_point(self.tables, self.definitions), question, node=node, now=NOW)


def together(*pairs: tuple[str, str]) -> Iterable[Order]:
    """An event for each pair; a lone identifier for a pair of the same."""
    return (Order(one, also=(other,) if other != one else ()) for one, other in pairs)
