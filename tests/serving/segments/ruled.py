"""A tenant written by hand whose persons follow rules of identity and decisions, and whose epochs come to exist when a clock says."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from millrace.definitions import Definitions
from millrace.identity.decisions import read_decisions
from millrace.identity.resolution import resolve
from millrace.tables.catalogue import DECISION, DECISIONS, EDGES, LEDGER
from tests.serving.segments.hand_made import Clock
from tests.serving.store.by_hand import SECRET, TRAITS, HandMade, Placed, edges_of

MORE = {
    "spend_before": {"op": "sum", "event": "Order", "value": "properties.revenue", "window": "2d", "ago": "2d"},
    "orders_today": {"op": "count", "event": "Order", "window": "today"},
    "orders_this_month": {"op": "count", "event": "Order", "window": "this_month"},
    "quiet_s": {"op": "time_since", "event": "Order"},
    "busy_by_two": {"expr": "orders_3h / 2"},
}
SEGMENTS = {
    "buyers": "orders >= 2", "active": "orders_3h >= 1", "spenders": "spend_2d >= 20", "settled_in": "first_at <= now - 1d", "north": "last_store = 'north'",
    "slipping": "spend_before > spend_2d and orders_this_month >= 1", "today": "orders_today >= 1", "quiet": "quiet_s > 7200 and quiet_s <= 90000",
    "busy": "busy_by_two >= 1", "northern_quiet": "north and not active or slipping",
}  # fmt: skip
RULED = Definitions.model_validate({"views": {"person": {"key": "node", "traits": TRAITS | MORE}}, "segments": SEGMENTS})


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

    def decided(self) -> int:
        return read_decisions(self.tables).number

    def decide(self, kind: str, a: str, b: str | None, withdraws: int | None = None) -> None:
        row = {"decision_id": read_decisions(self.tables).number + 1, "decided_at": time_of(self.clock.now), "kind": kind, "a": a, "b": b, "withdraws": withdraws}
        self.tables.add(DECISIONS, pa.Table.from_pylist([row], schema=DECISION))
