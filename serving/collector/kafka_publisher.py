"""Publishes to Kafka and says when the broker has acknowledged (``acks=all``, idempotent): the Producer of a running collector.

Two threads stand beside the event loop: kafka-python's sender, which owns the sockets, and a watch that looks for the broker and renews a producer
that has stopped delivering. The event loop only collects records in memory, up to the queue limit, and hands them over in groups: a request alone goes
out at once, a few at the end of the round trip under way, and many every HOLD_S, because a round trip costs as much work as a hundred events.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat

from kafka.structs import TopicPartition

from millrace.errors import BrokerUnavailable
from millrace.settings import CollectorSettings, KafkaSettings
from serving.collector.broker_watch import BrokerWatch
from serving.collector.publishing import QueueFull, Readiness, Record
from serving.collector.record_batches import Encoded, SealedBatch, encoded_headers, hand_over, router, seal

logger = logging.getLogger(__name__)

HOLD_S = 0.005
"""The longest a request waits for others, whatever became of those before it."""
MANY = 4
"""Requests in one group from which on gathering is worth the wait."""
SWEEP_S = 0.25
GRACE_S = 0.5
"""kafka-python gives up on a batch at the delivery timeout; a request that still waits this much later is answered all the same."""


class Waiting:
    """One request on its way; ``open`` counts the parts of it that have not ended."""

    __slots__ = ("deadline", "error", "events", "future", "open", "size")

    def __init__(self, future: asyncio.Future[None], *, events: int, size: int, deadline: float) -> None:
        self.future = future
        self.events = events
        self.size = size
        self.deadline = deadline
        self.open = 0
        self.error: Exception | None = None


class Group:
    """Records of one partition that have not been handed over, and the requests they belong to, the last one also by itself."""

    __slots__ = ("last", "records", "waiting")

    def __init__(self) -> None:
        self.records: list[Encoded] = []
        self.waiting: list[Waiting] = []
        self.last: Waiting | None = None


class KafkaPublisher:
    """See publishing.Producer. All its state belongs to the event loop; the sender thread only schedules ``_settle``."""

    def __init__(self, kafka: KafkaSettings, tenant: str, settings: CollectorSettings) -> None:
        self._watch = BrokerWatch(kafka, tenant, delivery_timeout_s=settings.delivery_timeout)
        self._max_events, self._max_bytes = settings.queue_events, settings.queue_bytes
        self._patience_s = settings.delivery_timeout + GRACE_S
        self._groups: dict[int, Group] = {}
        self._under_way = self._gathered = 0
        self._many = False
        self._flush_timer: asyncio.Handle | None = None
        self._waiting: deque[Waiting] = deque()
        self._queued_events = self._queued_bytes = 0

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._sweeper = asyncio.create_task(self._sweep())
        self._watch.start()

    def readiness(self) -> Readiness:
        return Readiness(self._watch.answers, self._queued_events, self._max_events)

    def publish(self, records: Sequence[Record], source: str, stamps: Sequence[bytes] | None = None) -> asyncio.Future[None]:
        connection = self._watch.connection
        if connection is None or self._watch.is_away:
            raise BrokerUnavailable("the Kafka broker does not answer")
        size = sum([len(record[1]) for record in records])
        # An empty queue takes any request, however small the limit: otherwise a large batch could never be sent.
        if self._queued_events and (self._queued_events + len(records) > self._max_events or self._queued_bytes + size > self._max_bytes):
            raise QueueFull(f"{self._queued_events} events waiting for the broker, {self._max_events} are allowed")
        headers = repeat(encoded_headers(source)) if stamps is None else [encoded_headers(source, stamp) for stamp in stamps]
        waiting = Waiting(self._loop.create_future(), events=len(records), size=size, deadline=self._loop.time() + self._patience_s)
        self._gather(waiting, records, headers, router(connection.partitions))
        self._queued_events += waiting.events
        self._queued_bytes += waiting.size
        self._waiting.append(waiting)
        if self._flush_timer is None:
            wait = self._many or self._under_way
            self._flush_timer = self._loop.call_later(HOLD_S, self._flush) if wait else self._loop.call_soon(self._flush)
        return waiting.future

    def _gather(self, waiting: Waiting, records: Sequence[Record], headers: Iterable[bytes], route: Callable[[str], tuple[int, bytes]]) -> None:
        groups = self._groups
        for (key, value), encoded in zip(records, headers):  # noqa: B905 (one header may be of all)
            partition, encoded_key = route(key)
            group = groups.get(partition) or groups.setdefault(partition, Group())
            group.records.append((encoded_key, value, encoded))
            if group.last is not waiting:
                group.last = waiting
                group.waiting.append(waiting)
                waiting.open += 1
        self._gathered += 1

    def _flush(self) -> None:
        """Hands over all that has been collected."""
        if self._flush_timer is not None:
            self._flush_timer.cancel()
            self._flush_timer = None
        groups, self._groups = self._groups, {}
        self._many, self._gathered = self._gathered >= MANY, 0
        connection = self._watch.connection
        try:
            if connection is None:
                raise BrokerUnavailable("the Kafka broker does not answer")
            sealed: list[SealedBatch] = []
            for partition, group in groups.items():
                batches = seal(connection.producer, TopicPartition(connection.topic, partition), group.records, self._ended)
                for batch in batches:
                    batch.waiting = group.waiting
                for waiting in group.waiting if len(batches) > 1 else ():
                    waiting.open += len(batches) - 1
                sealed += batches
            hand_over(connection.producer, sealed)
            self._under_way += len(sealed)
        except BrokerUnavailable as error:
            for waiting in {waiting for group in groups.values() for waiting in group.waiting}:
                self._release(waiting, error)

    def _ended(self, batch: SealedBatch, error: Exception | None) -> None:
        """In the sender thread, once for every batch."""
        self._watch.delivered(error)
        try:
            self._loop.call_soon_threadsafe(self._settle, batch.waiting, error)
        except RuntimeError:
            logger.warning("batch_ended_after_shutdown events=%d", batch.record_count)

    def _settle(self, requests: Sequence[Waiting], error: Exception | None) -> None:
        self._under_way -= 1
        for waiting in requests:
            waiting.open -= 1
            waiting.error = waiting.error or error
            if waiting.open == 0:
                self._release(waiting, waiting.error)
        if self._groups and self._under_way == 0 and not self._many:
            self._flush()

    def _release(self, waiting: Waiting, error: Exception | None) -> None:
        """Frees the place of a request in the queue and answers it; a second call does nothing."""
        self._queued_events -= waiting.events
        self._queued_bytes -= waiting.size
        waiting.events = waiting.size = 0
        if waiting.future.done():
            return  # answered by the sweep, or its client has gone
        if error is None:
            waiting.future.set_result(None)
        else:
            waiting.future.set_exception(BrokerUnavailable(f"the Kafka broker did not acknowledge in time ({type(error).__name__})"))

    async def _sweep(self) -> None:
        """Answers requests the producer has forgotten (it has no timer while it has no producer id), and lets go of those that are done."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now = self._loop.time()
            while self._waiting and (self._waiting[0].future.done() or self._waiting[0].deadline < now):
                waiting = self._waiting.popleft()
                if not waiting.future.done():
                    self._watch.delivered(TimeoutError())
                    self._release(waiting, TimeoutError())

    async def close(self) -> None:
        self._sweeper.cancel()
        if self._groups:
            self._flush()
        await asyncio.to_thread(self._watch.close)
