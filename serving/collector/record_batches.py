"""Kafka record batches filled many records at a time: what kafka_publisher.py hands to the sender thread of kafka-python.

``KafkaProducer.send`` costs about 30 µs a record (checks, a hash, two futures, a byte-wise encoder), more than all the rest of the collector.
Here the records of a request go into the producer's open batch in one step, encoded from prepared parts, and a batch has one future. Connections,
idempotence, retries, compression and timeouts stay with kafka-python. This reaches into its accumulator: a test compares the bytes with those
of its own encoder, so an upgrade that changes either is seen.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from struct import Struct

from kafka import KafkaProducer
from kafka.producer.producer_batch import ProducerBatch
from kafka.producer.record_accumulator import RecordAccumulator
from kafka.record.memory_records import MemoryRecordsBuilder
from kafka.structs import TopicPartition

from millrace.errors import BrokerUnavailable
from serving.collector.publishing import Record

BATCH_BYTES = 256 * 1024
REMEMBERED_KEYS = 50_000
MAGIC = 2

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


_VARINTS = [_varint(number) for number in range(8192)]


def varint(number: int) -> bytes:
    return _VARINTS[number] if number < 8192 else _varint(number)


def murmur2(data: bytes) -> int:
    """Kafka's own hash of keys, five times as fast as kafka-python's: any client that hashes a key finds the same partition."""
    length = len(data)
    whole = length & ~3
    value = 0x9747B28C ^ length
    for (word,) in _WORD.iter_unpack(data[:whole]):
        word = word * 0x5BD1E995 & 0xFFFFFFFF
        word = (word ^ word >> 24) * 0x5BD1E995 & 0xFFFFFFFF
        value = value * 0x5BD1E995 & 0xFFFFFFFF ^ word
    if whole < length:
        value = (value ^ int.from_bytes(data[whole:], "little")) * 0x5BD1E995 & 0xFFFFFFFF
    value = (value ^ value >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return value ^ value >> 15


@lru_cache(REMEMBERED_KEYS)
def routed(key: bytes, partitions: int) -> tuple[int, bytes]:
    """Partition of a key, and the key as it stands in a record."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions, varint(len(key)) + key


def encoded_headers(source: str) -> bytes:
    """The one header of the collector's records as it stands in a record."""
    return varint(1) + varint(6) + b"source" + varint(len(source.encode())) + source.encode()


class OpenBatch(ProducerBatch):
    """A batch of one partition that still takes records; ``waiting`` holds what wants to hear of its end."""

    def __init__(self, partition: TopicPartition, compression: int) -> None:
        super().__init__(partition, MemoryRecordsBuilder(MAGIC, compression, BATCH_BYTES))
        self.waiting: list[object] = []

    def extend(self, tails: Sequence[bytes], begin: int) -> int:
        """Takes ``tails[begin:]`` until it is full; the position of the first it did not take. A closed batch takes none, an empty one at least one."""
        records = self.records
        builder = records._builder
        if builder is None:
            return begin
        buffer, offset = builder._buffer, records._next_offset
        if builder._first_timestamp is None:
            builder._first_timestamp = builder._max_timestamp = int(time.time() * 1000)
        position = begin
        for tail in tails[begin:] if begin else tails:
            if len(buffer) >= BATCH_BYTES:
                break
            # no attributes, the timestamp of the batch (the topic keeps the time of appending), the offset in the batch
            head = b"\x00\x00" + varint(offset)
            buffer += varint(len(head) + len(tail)) + head + tail
            offset += 1
            position += 1
        builder._num_records += position - begin
        builder._last_offset = offset - 1
        records._next_offset = offset
        return position


Ended = Callable[[OpenBatch, Exception | None], None]
"""Called in the sender thread when a batch is in the log, or will never be for the reason given."""


def append(producer: KafkaProducer, topic: str, records: Mapping[int, Sequence[bytes]], *, waiting: object, ended: Ended) -> int:
    """Puts encoded records (by partition, see ``encode``) into open batches and wakes the sender; the number of batches they went into.

    ``waiting`` joins each of these batches. Never waits for the broker; BrokerUnavailable when the producer is closed.
    """
    if producer._accumulator._closed:
        raise BrokerUnavailable("the connection to Kafka is being renewed; send the request again")
    batches, wake = 0, False
    for partition, tails in records.items():
        filled, opened = _append_to(producer._accumulator, TopicPartition(topic, partition), tails, waiting=waiting, ended=ended)
        batches, wake = batches + filled, wake or opened or filled > 1
    if wake:
        producer._sender.wakeup()
    return batches


def encode(records: Sequence[Record], headers: bytes, partitions: int) -> dict[int, list[bytes]]:
    """Records by partition, encoded but for the offset in their batch."""
    encoded: dict[int, list[bytes]] = {}
    for key, value in records:
        partition, key_part = routed(key, partitions)
        encoded.setdefault(partition, []).append(key_part + varint(len(value)) + value + headers)
    return encoded


def _append_to(accumulator: RecordAccumulator, partition: TopicPartition, tails: Sequence[bytes], *, waiting: object, ended: Ended) -> tuple[int, bool]:
    """Number of batches filled, and whether one of them is new."""
    position = filled = 0
    opened = False
    with accumulator._tp_lock(partition):
        queue = accumulator._batches[partition]
        while position < len(tails):
            batch = queue[-1] if queue else None
            taken = batch.extend(tails, position) if isinstance(batch, OpenBatch) else position
            if taken == position:
                batch = _open(accumulator, partition, ended)
                queue.append(batch)
                taken, opened = batch.extend(tails, position), True
            batch.waiting.append(waiting)
            position, filled = taken, filled + 1
    return filled, opened


def _open(accumulator: RecordAccumulator, partition: TopicPartition, ended: Ended) -> OpenBatch:
    batch = OpenBatch(partition, accumulator.config["compression_attrs"])
    accumulator._incomplete.add(batch)

    def on_result(result: tuple[int, int, Callable[[int], Exception] | None]) -> None:
        error_of = result[2]
        ended(batch, error_of(0) if error_of else None)

    batch.produce_future.add_callback(on_result)
    batch.produce_future.add_errback(lambda error: ended(batch, error))
    return batch
