"""A tenant written by hand whose persons follow rules of identity and decisions, and whose epochs come to exist when a clock says."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from millrace.definitions import Definitions
from millrace.identity_decisions import read_decisions
from millrace.manifest import Manifest
from millrace.resolution import resolve
from millrace.tables import DECISION, DECISIONS, EDGES, LEDGER
from tests.serving.segments.hand_made import Clock
from tests.serving.store.by_hand import SECRET, TRAITS, HandMade, Placed, definitions_of, edges_of

RULED = Definitions(views=definitions_of(TRAITS).views)


def time_of(at: int) -> datetime:
    return datetime.fromtimestamp(at // 1_000_000, UTC).replace(microsecond=at % 1_000_000)


class Tenant(HandMade):
    """Epochs come to exist when the clock says; batch versions follow rules and decisions."""

    def __init__(self, root: Path, clock: Clock) -> None:
        super().__init__(root, RULED)
        self.clock = clock

    def ledger_rows(self, *epochs: tuple[int, int]) -> pa.Table:
        rows = super().ledger_rows(*epochs).to_pylist()
        return pa.Table.from_pylist([row | {"committed_at": time_of(self.clock.now)} for row in rows], schema=LEDGER.schema)

    def nodes(self, placed: list[Placed]) -> pa.Table:
        return resolve(pa.Table.from_pylist(edges_of(placed), schema=EDGES), RULED.identity.compiled(SECRET), read_decisions(self.tables)).nodes

    def manifest(self, cut: int, versions: dict[str, int], *, rolled_back_to: int | None = None) -> Manifest:
        return super().manifest(cut, versions, rolled_back_to=rolled_back_to, decisions=read_decisions(self.tables).number)

    def decide(self, kind: str, a: str, b: str | None, withdraws: int | None = None) -> None:
        row = {"decision_id": read_decisions(self.tables).number + 1, "decided_at": time_of(self.clock.now), "kind": kind, "a": a, "b": b, "withdraws": withdraws}
        self.tables.add(DECISIONS, pa.Table.from_pylist([row], schema=DECISION))
