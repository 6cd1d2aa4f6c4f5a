"""Who is in which segment, by the book: orders of a person in plain Python, windows as whole tiles. Imports no module of the product."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from tests.laws.oracle_persons import Decided, judge

HOUR, DAY = 3_600_000_000, 86_400_000_000


def micros(order: Any) -> int:
    return round(order.time.timestamp() * 1_000) * 1_000


def in_window(at: int, now: int, *, window: int, hop: int) -> bool:
    """Whether the tile of ``at`` is one of those a window covers at ``now``: its tail rounded down to the hop, its head up."""
    return (now - window) // hop <= at // hop < -(-now // hop)


def memberships(placed: Iterable[Any], now: int, decided: Decided = Decided()) -> Mapping[str, frozenset[str]]:
    """Segments of everybody who is in one: those of hand_made.RULES over what is in the log."""
    log = list(placed)
    sightings = [(one.order.node, other, (one.epoch, 0, one.offset)) for one in log for other in one.order.also or (one.order.node,)]
    found = {}
    for person, nodes in judge(sightings, decided=decided).members.items():
        orders = [one for one in log if one.order.node in nodes]
        if names := frozenset(_segments(orders, now)):
            found[person] = names
    return found


def _segments(placed: list[Any], now: int) -> Iterable[str]:
    times = [micros(one.order) for one in placed]
    if len(placed) >= 2:
        yield "buyers"
    if any(in_window(at, now, window=3 * HOUR, hop=HOUR) for at in times):
        yield "active"
    spent = (Decimal(one.order.revenue) for one, at in zip(placed, times, strict=True) if in_window(at, now, window=2 * DAY, hop=DAY))
    if sum(spent, Decimal()) >= 20:
        yield "spenders"
    if placed and now >= min(times) + DAY:
        yield "settled_in"
    if placed and max(zip(times, (one.offset for one in placed), placed, strict=True), key=lambda one: one[:2])[2].order.store == "north":
        yield "north"
