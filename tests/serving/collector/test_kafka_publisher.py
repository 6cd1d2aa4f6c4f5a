"""When a request is answered: after the end of its last batch, with the first error; and how many may wait. The sender thread is played by the test."""

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

import pytest

from millrace.errors import BrokerUnavailable
from millrace.settings import CollectorSettings, KafkaSettings
from serving.collector.broker_watch import Connection
from serving.collector.kafka_publisher import KafkaPublisher
from serving.collector.publishing import QueueFull
from serving.collector.record_batches import SealedBatch, router

PARTITIONS = 2
FIRST, SECOND = (next(key for key in map(str, range(99)) if router(PARTITIONS)(key)[0] == partition) for partition in range(PARTITIONS))


class FakeWatch:
    """A broker that takes batches and answers when the test says so."""

    def __init__(self) -> None:
        self.batches: dict[object, deque[SealedBatch]] = defaultdict(deque)
        lock = threading.Lock()
        accumulator = SimpleNamespace(_closed=False, _tp_lock=lambda partition: lock, _batches=self.batches, _incomplete=set())
        producer = SimpleNamespace(config={"compression_attrs": 0}, _accumulator=accumulator, _sender=SimpleNamespace(wakeup=lambda: None))
        self.connection: Connection | None = Connection(producer, "t.events", PARTITIONS)
        self.answers, self.is_away = True, False
        self.ends: list[Exception | None] = []

    def start(self) -> None: ...

    def close(self) -> None: ...

    def delivered(self, error: Exception | None) -> None:
        self.ends.append(error)

    def taken(self) -> int:
        return sum(batch.record_count for queue in self.batches.values() for batch in queue)

    def answer(self, error: Exception | None = None, *, partition: int | None = None) -> None:
        for place, queue in self.batches.items():
            while queue and partition in (None, place.partition):
                batch = queue.popleft()
                if error is None:
                    batch.complete(0, 0)
                else:
                    batch.complete_exceptionally(error, lambda index: error)


def played(story: Callable[[KafkaPublisher, FakeWatch], Awaitable[None]], **options: float) -> None:
    async def run() -> None:
        publisher = KafkaPublisher(KafkaSettings(bootstrap="127.0.0.1:9"), "t", CollectorSettings().model_copy(update=options))
        publisher._watch = watch = FakeWatch()
        await publisher.start()
        try:
            await story(publisher, watch)
        finally:
            await publisher.close()

    asyncio.run(run())


async def turn(seconds: float = 0) -> None:
    """Lets the event loop do what is due."""
    for _ in range(4):
        await asyncio.sleep(seconds / 4)


def test_request_is_answered_when_the_last_of_its_partitions_is_acknowledged():
    async def story(publisher: KafkaPublisher, watch: FakeWatch) -> None:
        future = publisher.publish([(FIRST, b"1"), (SECOND, b"2")], "http")
        await turn()
        watch.answer(partition=0)
        await turn()
        assert not future.done()
        watch.answer(partition=1)
        await future

    played(story)


def test_request_fails_when_one_of_its_partitions_does():
    async def story(publisher: KafkaPublisher, watch: FakeWatch) -> None:
        both, fine = publisher.publish([(FIRST, b"1"), (SECOND, b"2")], "http"), publisher.publish([(SECOND, b"3")], "http")
        await turn()
        watch.answer(TimeoutError(), partition=0)
        watch.answer()
        await fine
        with pytest.raises(BrokerUnavailable):
            await both

    played(story)


def test_records_of_a_large_request_fill_several_batches_and_all_must_end():
    async def story(publisher: KafkaPublisher, watch: FakeWatch) -> None:
        future = publisher.publish([(FIRST, b"x" * 30_000)] * 20, "http")
        await turn()
        (queue,) = watch.batches.values()
        assert len(queue) > 1
        last = queue.pop()
        watch.answer()
        await turn()
        assert not future.done()
        last.complete(0, 0)
        await future
        assert publisher.readiness().queued == 0

    played(story)


def test_requests_wait_for_the_answer_under_way_and_go_out_together():
    async def story(publisher: KafkaPublisher, watch: FakeWatch) -> None:
        first = publisher.publish([(FIRST, b"1")], "http")
        await turn()
        later = [publisher.publish([(FIRST, b"%d" % n)], "http") for n in range(3)]
        await turn()
        assert watch.taken() == 1
        watch.answer()
        await first
        await turn()
        assert [batch.record_count for batch in next(iter(watch.batches.values()))] == [3]
        watch.answer()
        await asyncio.gather(*later)

    played(story)


def test_slow_answer_does_not_hold_up_later_requests_for_long():
    async def story(publisher: KafkaPublisher, watch: FakeWatch) -> None:
        slow = publisher.publish([(FIRST, b"1")], "http")
        await turn()
        other = publisher.publish([(SECOND, b"2")], "http")
        await turn(0.2)
        watch.answer(partition=1)
        await other
        assert not slow.done()

    played(story)


def test_full_queue_takes_nothing_until_there_is_an_answer():
    async def story(publisher: KafkaPublisher, watch: FakeWatch) -> None:
        large = publisher.publish([(FIRST, b"1")] * 5, "http")  # larger than the queue, but it was empty
        assert not publisher.readiness().is_ready
        with pytest.raises(QueueFull):
            publisher.publish([(FIRST, b"2")], "http")
        await turn()
        watch.answer()
        await large
        assert publisher.readiness().is_ready
        assert watch.taken() == 0
        publisher.publish([(FIRST, b"2")], "http")

    played(story, queue_events=3)


def test_bytes_in_the_queue_are_bounded_too():
    async def story(publisher: KafkaPublisher, watch: FakeWatch) -> None:
        publisher.publish([(FIRST, b"x" * 900)], "http")
        with pytest.raises(QueueFull):
            publisher.publish([(FIRST, b"x" * 200)], "http")

    played(story, queue_bytes=1000)


def test_request_the_producer_forgets_is_answered_and_its_place_freed():
    async def story(publisher: KafkaPublisher, watch: FakeWatch) -> None:
        future = publisher.publish([(FIRST, b"1")], "http")
        with pytest.raises(BrokerUnavailable):
            await future
        assert publisher.readiness().queued == 0
        assert isinstance(watch.ends[-1], TimeoutError)
        watch.answer()  # it lands after all
        await turn()
        assert publisher.readiness().queued == 0

    played(story, delivery_timeout=-0.4)


def test_nothing_is_taken_while_the_broker_is_away():
    async def story(publisher: KafkaPublisher, watch: FakeWatch) -> None:
        watch.is_away = True
        with pytest.raises(BrokerUnavailable):
            publisher.publish([(FIRST, b"1")], "http")

    played(story)


def test_connection_that_is_renewed_fails_what_was_not_handed_over():
    async def story(publisher: KafkaPublisher, watch: FakeWatch) -> None:
        future = publisher.publish([(FIRST, b"1"), (SECOND, b"2")], "http")
        watch.connection.producer._accumulator._closed = True
        with pytest.raises(BrokerUnavailable):
            await future
        assert publisher.readiness().queued == 0

    played(story)
