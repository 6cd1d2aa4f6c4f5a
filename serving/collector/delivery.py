"""From records to the answer: publishes those of one request and returns when the broker has acknowledged all of them. The endpoints call it."""

import math
from collections.abc import Sequence
from time import perf_counter

from millrace.errors import BrokerUnavailable
from millrace.faults import crash_point
from serving.collector.figures import Figures
from serving.collector.publishing import Producer, QueueFull, Record
from serving.collector.refusals import Refusal

RETRY = "send the same request again with the same messageIds after Retry-After seconds"


class Delivery:
    """To one topic. ``retry_after`` is what a 503 tells clients, in seconds."""

    def __init__(self, producer: Producer, figures: Figures, *, retry_after: float) -> None:
        self._producer, self._figures, self._retry_after_s = producer, figures, math.ceil(retry_after)

    async def deliver(self, call: str, records: Sequence[Record], source: str, *, began: float, received: int | None = None) -> None:
        """Returns when the records are in the log; Refusal with 503 when that cannot be said. ``received``: how many there were before some were withheld."""
        crash_point("collector.accepted")
        try:
            if records:
                await self._producer.publish(records, source)
        except QueueFull as full:
            raise Refusal(503, "queue_full", "", f"found {full}; {RETRY}", retry_after_s=self._retry_after_s) from None
        except BrokerUnavailable as away:
            raise Refusal(503, "broker_unavailable", "", f"found that {away}; {RETRY}", retry_after_s=self._retry_after_s) from None
        crash_point("collector.acknowledged")
        self._figures.acknowledged(call, len(records), perf_counter() - began, withheld=0 if received is None else received - len(records))
