"""Who is in which segment, by the book: orders of a person in plain Python, windows as whole tiles. Imports no module of the product."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
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
    """Segments of everybody who is in one: those of ruled.SEGMENTS over what is in the log."""
    log = list(placed)
    sightings = [(one.order.node, other, (one.epoch, 0, one.offset)) for one in log for other in one.order.also or (one.order.node,)]
    found = {}
    for person, nodes in judge(sightings, decided=decided).members.items():
        orders = [one for one in log if one.order.node in nodes]
        if names := frozenset(_segments(orders, now)):
            found[person] = names
    return found


def _segments(placed: list[Any], now: int) -> Iterable[str]:
    """The rules of ruled.SEGMENTS, one by one."""
    times = [micros(one.order) for one in placed]
    spends = [(at, Decimal(one.order.revenue)) for at, one in zip(times, placed, strict=True)]
    rolling = sum((revenue for at, revenue in spends if in_window(at, now, window=2 * DAY, hop=DAY)), Decimal())
    end = (now - 2 * DAY) // DAY
    before = sum((revenue for at, revenue in spends if end - 2 <= at // DAY < end), Decimal())
    recent = sum(in_window(at, now, window=3 * HOUR, hop=HOUR) for at in times)
    first_of_month = datetime.fromtimestamp(now // 1_000_000, UTC).replace(day=1, hour=0, minute=0, second=0)
    this_month = [at for at in times if round(first_of_month.timestamp()) * 1_000_000 <= at and at // DAY <= now // DAY]
    seconds = max(0, now - max(times)) // 1_000_000 if times else None
    last = max(zip(times, (one.offset for one in placed), placed, strict=True), key=lambda one: one[:2])[2].order.store if placed else None
    is_slipping = before > rolling and bool(this_month)
    holds = {
        "buyers": len(placed) >= 2, "active": recent >= 1, "spenders": rolling >= 20, "settled_in": bool(times) and min(times) <= now - DAY, "north": last == "north",
        "slipping": is_slipping, "today": any(at // DAY == now // DAY for at in times), "quiet": seconds is not None and 7_200 < seconds <= 90_000,
        "busy": recent >= 2, "northern_quiet": (last == "north" and recent < 1) or is_slipping,
    }  # fmt: skip
    return (name for name, is_true in holds.items() if is_true)
