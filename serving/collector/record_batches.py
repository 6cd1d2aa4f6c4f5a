"""Kafka record batches made many records at a time, for the sender thread of kafka-python: kafka_publisher.py fills them and hands them over.

``KafkaProducer.send`` costs about 30 µs a record (checks, a hash, two futures, a byte-wise encoder), more than all the rest of the collector.
Here records are joined from prepared parts, and a batch has one end instead of one future a record. Connections, idempotence, retries, compression and
timeouts stay with kafka-python. This reaches into its accumulator: a test compares the bytes with those of its own encoder and sees an upgrade
that changes either.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from struct import Struct

from kafka import KafkaProducer
from kafka.producer.producer_batch import ProducerBatch
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.structs import TopicPartition

from millrace.errors import BrokerUnavailable
from millrace.tracking_plan.verdicts import HEADER

BATCH_BYTES = 256 * 1024
"""A batch takes no further record once it is larger; the broker's own limit is 1 MiB, compressed."""
REMEMBERED_KEYS = 50_000
RECORD_FORMAT = 2

Encoded = tuple[bytes, bytes, bytes]
"""Key as ``router`` gives it, value, headers as ``encoded_headers`` gives them."""
Ended = Callable[["SealedBatch", Exception | None], None]
"""Called in the sender thread when a batch is in the log, or will never be for the reason given."""

_WORD = Struct("<I")


def _varint(number: int) -> bytes:
    """Kafka's zigzag varint of a number that is not negative."""
    number <<= 1
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_VARINTS = tuple(_varint(number) for number in range(8192))


def varint(number: int) -> bytes:
    """The same, remembered for the small numbers that nearly all lengths and offsets are."""
    return _VARINTS[number] if number < 8192 else _varint(number)


def murmur2(data: bytes) -> int:
    """Kafka's own hash of keys, five times as fast as kafka-python's: any client that hashes a key finds the same partition."""
    whole = len(data) & ~3
    value = 0x9747B28C ^ len(data)
    for (word,) in _WORD.iter_unpack(data[:whole]):
        word = word * 0x5BD1E995 & 0xFFFFFFFF
        word = (word ^ word >> 24) * 0x5BD1E995 & 0xFFFFFFFF
        value = value * 0x5BD1E995 & 0xFFFFFFFF ^ word
    if whole < len(data):
        value = (value ^ int.from_bytes(data[whole:], "little")) * 0x5BD1E995 & 0xFFFFFFFF
    value = (value ^ value >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return value ^ value >> 15


@lru_cache(8)
def router(partitions: int) -> Callable[[str], tuple[int, bytes]]:
    """For a number of partitions, the function from a key to its partition and to the key as it stands in a record. Remembers recent keys."""

    @lru_cache(REMEMBERED_KEYS)
    def route(key: str) -> tuple[int, bytes]:
        data = key.encode()
        return (murmur2(data) & 0x7FFFFFFF) % partitions, varint(len(data)) + data

    return route


@lru_cache(4_096)
def encoded_headers(source: str, stamp: bytes = b"") -> bytes:
    """The headers of the collector's records as they stand in a record: the source, and the verdict of the tracking plan when there is one."""
    headers = [(b"source", source.encode()), *([(HEADER.encode(), stamp)] if stamp else [])]
    return varint(len(headers)) + b"".join([varint(len(part)) + part for header in headers for part in header])


class SealedBatch(ProducerBatch):
    """A batch of one partition that is complete when the sender first sees it; ``waiting`` holds the requests that want to hear of its end."""

    def __init__(self, partition: TopicPartition, compression: int) -> None:
        super().__init__(partition, MemoryRecordsBuilder(RECORD_FORMAT, compression, BATCH_BYTES))
        self.waiting: Sequence[object] = ()

    def fill(self, records: Sequence[Encoded], begin: int) -> int:
        """Takes ``records[begin:]`` until it is full, at least one; the position of the first it did not take."""
        builder = self.records._builder
        parts: list[bytes] = []
        size = offset = 0
        for key, value, headers in records[begin:] if begin else records:
            # no attributes, the timestamp of the batch (the topic keeps the time of appending), the offset in the batch
            head = b"\x00\x00" + varint(offset) + key + varint(len(value))
            length = len(head) + len(value) + len(headers)
            parts += (varint(length), head, value, headers)
            size += length
            offset += 1
            if size > BATCH_BYTES:
                break
        builder._buffer += b"".join(parts)
        builder._first_timestamp = builder._max_timestamp = int(time.time() * 1000)
        builder._num_records = offset
        builder._last_offset = offset - 1
        self.records._next_offset = offset
        return begin + offset


def seal(producer: KafkaProducer, partition: TopicPartition, records: Sequence[Encoded], ended: Ended) -> list[SealedBatch]:
    """The batches for records of one partition, in order."""
    batches = []
    position = 0
    while position < len(records):
        batch = SealedBatch(partition, producer.config["compression_attrs"])
        position = batch.fill(records, position)
        _when_done(batch, ended)
        batches.append(batch)
    return batches


def hand_over(producer: KafkaProducer, batches: Iterable[SealedBatch]) -> None:
    """Queues batches for the sender thread and wakes it. Never waits for the broker; BrokerUnavailable when the producer is closed."""
    accumulator = producer._accumulator
    if accumulator._closed:
        raise BrokerUnavailable("the connection to the Kafka broker is being renewed")
    for batch in batches:
        with accumulator._tp_lock(batch.topic_partition):
            accumulator._batches[batch.topic_partition].append(batch)
            accumulator._incomplete.add(batch)
    producer._sender.wakeup()


def _when_done(batch: SealedBatch, ended: Ended) -> None:
    def on_result(result: tuple[int, int, Callable[[int], Exception] | None]) -> None:
        error_of = result[2]
        ended(batch, error_of(0) if error_of else None)

    batch.produce_future.add_callback(on_result)
    batch.produce_future.add_errback(lambda error: ended(batch, error))
