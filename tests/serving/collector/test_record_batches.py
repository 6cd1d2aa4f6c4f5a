"""Our batches are kafka-python's own, byte by byte, and our hash is Kafka's: what an upgrade of kafka-python changes is seen here."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.partitioner import murmur2 as kafka_murmur2
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder
from kafka.structs import TopicPartition

from millrace.errors import BrokerUnavailable
from serving.collector.record_batches import BATCH_BYTES, encoded_headers, hand_over, murmur2, router, seal

NODE = "user_id:" + "0f" * 16
LZ4, NONE = 3, 0


def producer(compression: int) -> SimpleNamespace:
    return SimpleNamespace(config={"compression_attrs": compression})


def sealed(values: list[bytes], compression: int = LZ4) -> list:
    _, key = router(1)(NODE)
    records = [(key, value, encoded_headers("http")) for value in values]
    return seal(producer(compression), TopicPartition("t.events", 0), records, lambda batch, error: None)


def bytes_of(records: MemoryRecordsBuilder) -> bytes:
    records.set_producer_state(7, 1, 3, False)
    records.close()
    return bytes(records.buffer())


@pytest.mark.parametrize("compression", [LZ4, NONE])
@settings(deadline=None)
@given(values=st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=150))
def test_batch_equals_the_one_kafka_python_encodes(compression, values):
    (batch,) = sealed(values, compression)
    at = batch.records._builder._first_timestamp
    theirs = MemoryRecordsBuilder(2, compression, BATCH_BYTES)
    for value in values:
        theirs.append(at, NODE.encode(), value, [("source", b"http")])

    assert batch.record_count == len(values)
    assert bytes_of(batch.records) == bytes_of(theirs)


def test_long_values_are_encoded_as_kafka_python_does():
    values = [b"x" * size for size in (62, 63, 64, 8191, 8192, 40_000)]
    (batch,) = sealed(values)
    read = [record.value for part in MemoryRecords(bytes_of(batch.records)) for record in part]

    assert read == values


def test_full_batch_is_followed_by_another_and_no_record_is_lost():
    values = [b"%d" % number + b"x" * 30_000 for number in range(40)]
    batches = sealed(values)
    read = [record.value for batch in batches for part in MemoryRecords(bytes_of(batch.records)) for record in part]

    assert len(batches) > 1
    assert read == values


@settings(deadline=None)
@given(data=st.binary(max_size=70))
def test_hash_of_a_key_is_kafkas(data):
    assert murmur2(data) == kafka_murmur2(data)


@settings(deadline=None)
@given(key=st.text(max_size=50), partitions=st.integers(1, 12))
def test_partition_of_a_key_is_the_one_other_clients_find(key, partitions):
    partition, _ = router(partitions)(key)

    assert partition == (kafka_murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def test_end_of_a_batch_is_reported_once_with_its_error():
    ends = []
    (batch,) = seal(producer(NONE), TopicPartition("t.events", 0), [(b"\x02k", b"v", b"\x00")], lambda batch, error: ends.append(error))
    batch.complete_exceptionally(TimeoutError("late"), lambda index: TimeoutError("late"))
    (other,) = seal(producer(NONE), TopicPartition("t.events", 0), [(b"\x02k", b"v", b"\x00")], lambda batch, error: ends.append(error))
    other.complete(17, 0)

    assert [type(error) for error in ends] == [TimeoutError, type(None)]


def test_closed_producer_takes_nothing():
    with pytest.raises(BrokerUnavailable):
        hand_over(SimpleNamespace(_accumulator=SimpleNamespace(_closed=True)), [])
