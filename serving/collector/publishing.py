"""What stands between the HTTP side and Kafka: records, and the interface of what publishes them. kafka_publisher.py is the real one."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from millrace.errors import MillraceError

Record = tuple[str, bytes]
"""Key (a node) and value of one Kafka record."""


class QueueFull(MillraceError):
    """As many events as allowed are waiting for the broker."""


class Readiness(NamedTuple):
    """Whether events are taken now: the broker answered the last metadata request, and there is room in the queue."""

    broker_answers: bool
    queued: int
    queue_limit: int

    @property
    def is_ready(self) -> bool:
        return self.broker_answers and self.queued < self.queue_limit


class Producer(Protocol):
    """Publishes records of one topic. Lives in one event loop, never blocks it."""

    async def start(self) -> None:
        """Begins to look for the broker; returns at once, with or without one."""

    def publish(self, records: Sequence[Record], source: str, stamps: Sequence[bytes] | None = None) -> asyncio.Future[None]:
        """Queues the records of one request; the future is done when the broker has acknowledged all of them, or holds BrokerUnavailable.

        QueueFull or BrokerUnavailable at once when they cannot be queued; then none of them is sent. After a future with BrokerUnavailable
        some may be in the log: the client sends them again under the same messageId. ``stamps``: the verdict of the tracking plan on each record.
        """
        ...

    def readiness(self) -> Readiness: ...

    async def close(self) -> None:
        """Sends what is queued, then lets go of the broker."""


