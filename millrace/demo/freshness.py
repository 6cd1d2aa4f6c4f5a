"""How long after its acknowledgement an order shows in the answer about its household. Enters: events to send; leaves: seconds per probe. The story calls it."""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from millrace.demo.api import Api
from millrace.demo.events import Event
from millrace.errors import MillraceError

POLL_S = 0.02
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Freshness:
    """Seconds from the collector's acknowledgement of an order to the first answer that shows it, one per probe."""

    seconds: tuple[float, ...]

    def __add__(self, other: "Freshness") -> "Freshness":
        return Freshness(self.seconds + other.seconds)

    def as_dict(self) -> dict[str, Any]:
        if not self.seconds:
            return {"probes": 0}
        spread = {"min_s": min(self.seconds), "median_s": statistics.median(self.seconds), "max_s": max(self.seconds)}
        return {"probes": len(self.seconds), **{name: round(value, 3) for name, value in spread.items()}}


def portions(events: Sequence[Event], count: int) -> Iterator[Sequence[Event]]:
    """The events in about ``count`` consecutive parts; each but the last ends with an order, whose arrival can be watched."""
    length = max(1, -(-len(events) // count))
    start = 0
    while start < len(events):
        end = min(start + length, len(events))
        while end < len(events) and not events[end - 1].is_order:
            end += 1
        yield events[start:end]
        start = end


def shows(answer: dict[str, Any] | None, order: Event) -> bool:
    """Whether the answer about the household already knows the order: orders are sent in time order, so its last one is not older."""
    value = ((answer or {}).get("traits", {}).get("last_order_at") or {}).get("value")
    return value is not None and datetime.fromisoformat(value) >= order.event_time


def wait_until_shown(api: Api, order: Event, *, acknowledged_at: float, clock: Callable[[], float] = time.monotonic) -> float:
    """Seconds from ``acknowledged_at`` to the answer that shows the order; MillraceError after two minutes."""
    while not shows(api.profile(order.household), order):
        if clock() - acknowledged_at > PATIENCE_S:
            raise MillraceError(
                f"an acknowledged order was not in the answer about its household after {PATIENCE_S:g} s; is the speed layer running? see GET /v1/status"
            )
        time.sleep(POLL_S)
    return clock() - acknowledged_at
