"""Publishes to Kafka and says when the broker has acknowledged (``acks=all``, idempotent): the Producer of a running collector.

Two threads stand beside the event loop: kafka-python's sender, which owns the sockets, and a watch that looks for the broker, asks it for metadata
once a second and renews a producer that has stopped delivering. The event loop only appends to batches in memory, up to the queue limit.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from millrace.errors import BrokerUnavailable
from serving.collector.broker_watch import BrokerWatch
from serving.collector.publishing import QueueFull, Readiness, Record
from serving.collector.record_batches import OpenBatch, append, encode, encoded_headers

logger = logging.getLogger(__name__)

QUEUE_EVENTS = 50_000
QUEUE_BYTES = 64 * 1024 * 1024
SWEEP_S = 0.25
GRACE_S = 0.5
"""kafka-python gives up on a batch at the delivery timeout; a request that is still waiting this much later is answered all the same."""


class Waiting:
    """One request whose records are on their way."""

    __slots__ = ("batches", "bytes", "deadline", "error", "events", "future")

    def __init__(self, future: asyncio.Future[None], *, events: int, size: int, deadline: float) -> None:
        self.future = future
        self.events = events
        self.bytes = size
        self.deadline = deadline
        self.batches = 0
        self.error: Exception | None = None


class KafkaPublisher:
    """See publishing.Producer. All its state belongs to the event loop; the sender thread only schedules ``_settle``."""

    def __init__(self, bootstrap: str, tenant: str, *, queue_limit: int = QUEUE_EVENTS, delivery_timeout_s: float = 10) -> None:
        self._watch = BrokerWatch(bootstrap, tenant, delivery_timeout_s=delivery_timeout_s)
        self._queue_limit = queue_limit
        self._patience_s = delivery_timeout_s + GRACE_S
        self._headers: dict[str, bytes] = {}
        self._waiting: deque[Waiting] = deque()
        self._queued_events = self._queued_bytes = 0

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._sweeper = asyncio.create_task(self._sweep())
        self._watch.start()

    def readiness(self) -> Readiness:
        return Readiness(self._watch.connection is not None and self._watch.answers, self._queued_events, self._queue_limit)

    def publish(self, records: Sequence[Record], source: str) -> asyncio.Future[None]:
        connection = self._watch.connection
        if connection is None or self._watch.is_away:
            raise BrokerUnavailable("the Kafka broker does not answer")
        size = sum(len(value) for _, value in records)
        # An empty queue takes any request, however small the limit: otherwise a large batch could never be sent.
        if self._queued_events and (self._queued_events + len(records) > self._queue_limit or self._queued_bytes + size > QUEUE_BYTES):
            raise QueueFull(f"{self._queued_events} events wait for the broker, {self._queue_limit} are allowed")
        headers = self._headers.get(source) or self._headers.setdefault(source, encoded_headers(source))
        waiting = Waiting(self._loop.create_future(), events=len(records), size=size, deadline=self._loop.time() + self._patience_s)
        waiting.batches = append(connection.producer, connection.topic, encode(records, headers, connection.partitions), waiting=waiting, ended=self._ended)
        self._queued_events += waiting.events
        self._queued_bytes += waiting.bytes
        self._waiting.append(waiting)
        return waiting.future

    def _ended(self, batch: OpenBatch, error: Exception | None) -> None:
        """In the sender thread, once per batch."""
        self._watch.delivered(error)
        try:
            self._loop.call_soon_threadsafe(self._settle, batch.waiting, error)
        except RuntimeError:
            logger.warning("batch_after_shutdown events=%d", batch.record_count)

    def _settle(self, waiting: list[Waiting], error: Exception | None) -> None:
        for request in waiting:
            request.batches -= 1
            request.error = request.error or error
            if request.batches == 0:
                self._release(request, request.error)
        while self._waiting and self._waiting[0].future.done():
            self._waiting.popleft()

    def _release(self, request: Waiting, error: Exception | None) -> None:
        """Frees the place of a request in the queue and answers it; a second call does nothing."""
        self._queued_events -= request.events
        self._queued_bytes -= request.bytes
        request.events = request.bytes = 0
        if request.future.done():
            return  # answered by the sweep, or its client has gone
        if error is None:
            request.future.set_result(None)
        else:
            request.future.set_exception(BrokerUnavailable(f"the Kafka broker did not acknowledge in time ({type(error).__name__})"))

    async def _sweep(self) -> None:
        """Answers requests the producer has forgotten: it has no timer while it has no producer id."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = self._loop.time()
            while self._waiting and (self._waiting[0].deadline < now or self._waiting[0].future.done()):
                overdue = self._waiting.popleft()
                if not overdue.future.done():
                    self._watch.delivered(TimeoutError())
                    self._release(overdue, TimeoutError())

    async def close(self) -> None:
        self._sweeper.cancel()
        await asyncio.to_thread(self._watch.close)


