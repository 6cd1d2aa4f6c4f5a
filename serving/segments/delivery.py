"""Takes batches of changes from the outbox to where others see them: a commit of serving/segment_changes each, then Kafka. following.py calls it.

A batch is decided once, in the state; what follows may be done again as often as a crash wants. Delta knows the number of the last batch and takes none
twice; Kafka may get one twice, each change with its ``change_id``, by which consumers take it once. Batches go out in order, a batch to Kafka only after
all of the one before has been acknowledged: what the topic shows of a batch proves all earlier ones.
"""

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

import msgspec
import pyarrow as pa
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError
from kafka.partitioner.default import murmur2

from millrace.errors import BrokerUnavailable
from millrace.faults import crash_point
from millrace.settings import KafkaSettings
from millrace.tables.catalogue import SEGMENT_CHANGE, SEGMENT_CHANGES
from millrace.tables.delta import TenantTables
from millrace.topics import ensure_topic, memberships_topic
from millrace.traits.finish import time_text
from serving.segments.state import Row, State
from serving.tidying import Tidying

log = logging.getLogger(__name__)
APP_ID = "segment_changes"
TIDY_BATCHES = 300
"""Batches, each a file, after which small files are folded together."""
LINGER_MS, BATCH_BYTES = 20, 1 << 18
"""Few large requests: nothing waits for the time, because a batch of changes ends with a flush. Without it every five records went alone."""
_TIMES = ("at", "seen_at")
_FIELDS = Row.__struct_fields__


class Publisher(Protocol):
    """Where changes are told: returns when all are acknowledged, BrokerUnavailable when not."""

    def publish(self, batch: int, rows: Sequence[Row]) -> None: ...

    def last_published(self) -> int:
        """The last batch of which anything is there; 0 for none."""
        ...

    def close(self) -> None: ...


class Delivery:
    def __init__(self, tables: TenantTables, publisher: Publisher) -> None:
        self._tables, self._publisher = tables, publisher
        tables.create(SEGMENT_CHANGES)
        self.appended = appended_batch(tables)
        self._tidying = Tidying(tables, SEGMENT_CHANGES, every=TIDY_BATCHES)

    def append(self, state: State) -> None:
        """Brings the table up to the last batch: it does not wait for a broker that is away."""
        if self.appended == state.position.batch:
            return
        for batch, rows in state.undelivered():
            if batch > self.appended:
                self._tables.append(SEGMENT_CHANGES, table_of(batch, rows), app_id=APP_ID, epoch=batch)
                self.appended = batch
                self._tidying.after()
                crash_point("segments.appended")

    def publish(self, state: State) -> None:
        """Empties the outbox."""
        if state.position.published == state.position.batch:
            return
        for batch, rows in state.undelivered():
            self._publisher.publish(batch, rows)
            crash_point("segments.published")
            state.delivered(batch)
            state.commit()
            crash_point("segments.delivered")


def appended_batch(tables: TenantTables) -> int:
    """The last batch the table has."""
    found = tables.open(SEGMENT_CHANGES)
    return (found.transaction_version(APP_ID) or 0) if found else 0


def table_of(batch: int, rows: Sequence[Row]) -> pa.Table:
    """Rows of serving/segment_changes; ``number`` is the place in the batch."""
    columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in _FIELDS}
    columns |= {"batch": [batch] * len(columns["change_id"]), "number": list(range(len(columns["change_id"])))}
    arrays = [pa.array(columns[field.name], pa.int64() if field.name in _TIMES else field.type).cast(field.type) for field in SEGMENT_CHANGE]
    return pa.Table.from_arrays(arrays, schema=SEGMENT_CHANGE)


def message_of(batch: int, row: Row) -> bytes:
    """The value of a record: the row as JSON, times as text."""
    shown: dict[str, Any] = {"batch": batch} | {name: getattr(row, name) for name in _FIELDS}
    return msgspec.json.encode(shown | {name: time_text(shown[name]) for name in _TIMES})


@lru_cache(1 << 14)
def partition_of(person_id: str, partitions: int) -> int:
    """The partition any Kafka client would choose for the key; a person mostly has several changes at once, and hashing is slow in Python."""
    return (murmur2(person_id.encode()) & 0x7FFFFFFF) % partitions


class KafkaMemberships:
    """``<tenant>.memberships``: key is the person, so that his changes stay in order; header ``change_id``. Idempotent, ``acks=all``."""

    def __init__(self, kafka: KafkaSettings, tenant: str, *, timeout_s: float) -> None:
        self._kafka, self._tenant, self._timeout_s = kafka, tenant, timeout_s
        self._topic = memberships_topic(tenant)
        self._producer: KafkaProducer | None = None

    def publish(self, batch: int, rows: Sequence[Row]) -> None:
        try:
            producer = self._connected()
            headers, partitions = [("batch", str(batch).encode())], len(producer.partitions_for(self._topic))
            sent = [
                producer.send(
                    self._topic, key=row.person_id.encode(), value=message_of(batch, row), partition=partition_of(row.person_id, partitions),
                    headers=[("change_id", row.change_id.encode()), *headers],
                )
                for row in rows
            ]  # fmt: skip
            producer.flush(timeout=self._timeout_s)
            for one in sent:
                one.get(timeout=self._timeout_s)
        except KafkaError as error:
            self.close()
            raise BrokerUnavailable(f"the Kafka broker did not acknowledge memberships ({type(error).__name__}); they are kept and sent again") from error

    def last_published(self) -> int:
        """Reads the last records of each partition."""
        ensure_topic(self._kafka.bootstrap, self._tenant, topic=self._topic, partitions=self._kafka.partitions, replication=self._kafka.replication)
        consumer = KafkaConsumer(bootstrap_servers=self._kafka.bootstrap, enable_auto_commit=False, consumer_timeout_ms=int(self._timeout_s * 1000))
        try:
            partitions = [TopicPartition(self._topic, number) for number in sorted(consumer.partitions_for_topic(self._topic) or ())]
            begins, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
            last = 0
            for partition in (one for one in partitions if ends[one] > begins[one]):
                consumer.assign([partition])
                consumer.seek(partition, ends[partition] - 1)
                last = max([last, *(int(dict(record.headers)["batch"]) for record in [next(consumer)])])
            return last
        except (KafkaError, StopIteration) as error:
            raise BrokerUnavailable(f"the topic {self._topic} cannot be read ({type(error).__name__}); it is tried again") from error
        finally:
            consumer.close()

    def close(self) -> None:
        if self._producer is not None:
            self._producer.close(timeout=1)
            self._producer = None

    def _connected(self) -> KafkaProducer:
        if self._producer is None:
            ensure_topic(self._kafka.bootstrap, self._tenant, topic=self._topic, partitions=self._kafka.partitions, replication=self._kafka.replication, wait_s=2)
            self._producer = KafkaProducer(
                bootstrap_servers=self._kafka.bootstrap, acks="all", enable_idempotence=True, linger_ms=LINGER_MS, batch_size=BATCH_BYTES, compression_type="lz4",
                delivery_timeout_ms=int(self._timeout_s * 1000), request_timeout_ms=int(self._timeout_s * 500),
            )  # fmt: skip
        return self._producer
