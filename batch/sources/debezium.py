"""Connector of change records in a Kafka topic (Debezium): inserts, updates, deletes, snapshots, tombstones. A part is a partition, its position the next offset.

A run reads up to the end it finds at its start. Debezium may deliver a change twice: both have the number the database gave it, and count once.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from batch.sources.change_records import Change, as_of, change_of
from batch.sources.connector import Batch, Position, SourceUnavailable, Unreadable
from batch.sources.json_columns import json_table
from batch.sources.values import to_json
from millrace.events.pulls import DebeziumPull

AT_ONCE = 10_000
"""Records of a batch."""
_PATIENCE = 60
"""How often in a row a second may pass without a record before the end of a partition."""


class ChangeRecords:
    """Reads one topic."""

    def __init__(self, pull: DebeziumPull) -> None:
        self._pull = pull

    def batches(self, noted: Mapping[str, Position]) -> Iterator[Batch]:
        try:
            consumer = KafkaConsumer(bootstrap_servers=self._pull.bootstrap, enable_auto_commit=False, auto_offset_reset="none", isolation_level="read_committed")
        except KafkaError as error:
            raise SourceUnavailable(f"no Kafka broker answered at {self._pull.bootstrap} ({type(error).__name__}); check `bootstrap` in sources.yml") from None
        try:
            for number in sorted(consumer.partitions_for_topic(self._pull.topic) or self._absent()):
                yield from self._partition(consumer, TopicPartition(self._pull.topic, number), noted)
        except KafkaError as error:
            raise SourceUnavailable(f"topic {self._pull.topic} could not be read ({type(error).__name__}); start the job again, it continues where it was") from None
        finally:
            consumer.close()

    def _absent(self) -> set[int]:
        raise SourceUnavailable(f"there is no topic {self._pull.topic} at {self._pull.bootstrap}; correct `topic` in sources.yml")

    def _partition(self, consumer: KafkaConsumer, partition: TopicPartition, noted: Mapping[str, Position]) -> Iterator[Batch]:
        part = f"{partition.topic}-{partition.partition}"
        first, end = consumer.beginning_offsets([partition])[partition], consumer.end_offsets([partition])[partition]
        offset = noted[part]["offset"] if part in noted else first
        if offset < first or offset > end:
            raise SourceUnavailable(f"{part} holds offsets {first} to {end} and was read up to {offset}: changes are missing; make a snapshot into a new topic and declare that one")
        consumer.assign([partition])
        consumer.seek(partition, offset)
        deleted: set[str] = set()
        records: list[Any] = []
        idle = 0
        while consumer.position(partition) < end:
            found = [record for some in consumer.poll(timeout_ms=1_000, max_records=AT_ONCE).values() for record in some if record.offset < end]
            idle = 0 if found else idle + 1
            if idle > _PATIENCE:
                raise SourceUnavailable(f"{part} gave no record for {_PATIENCE} s before its end; start the job again, it continues where it was")
            records += found
            if len(records) >= AT_ONCE:
                yield self._batch(part, records, deleted, records[-1].offset + 1)
                records = []
        if records:
            yield self._batch(part, records, deleted, records[-1].offset + 1)

    def _batch(self, part: str, records: list[Any], deleted: set[str], offset: int) -> Batch:
        """``deleted``: keys whose last change in this run was a delete; a tombstone after it says nothing more."""
        changes: list[tuple[Any, Change]] = []
        unreadable: list[Unreadable] = []
        for record in records:
            change = change_of(record.key, record.value, record.timestamp)
            if isinstance(change, str):
                unreadable.append(Unreadable(record.offset, change, (record.value or b"").decode("utf-8", "backslashreplace")))
            elif change.operation is None and (change.key in deleted or self._pull.events is not None):
                continue
            else:
                (deleted.add if change.operation in ("d", None) else deleted.discard)(change.key)
                changes.append((record, change))
        rows = [self._row(change) for _, change in changes]
        return Batch(
            part, _table(rows), as_of(records[-1].timestamp), {"offset": offset}, records[0].offset, tuple(unreadable),
            deleted=[change.operation in ("d", None) for _, change in changes],
            changed_at=[change.at for _, change in changes],
            sequence=[record.offset for record, _ in changes],
            numbers=[change.number or f"{part}:{record.offset}" for record, change in changes],
        )  # fmt: skip

    def _row(self, change: Change) -> dict[str, Any]:
        """Of what is gone an entity needs the key: the rest of ``before`` may be anything, by the settings of the database."""
        if self._pull.events is not None:
            return change.values | {"__op": change.operation}
        return change.named if change.operation == "d" and change.named else change.values


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return json_table([{name: to_json(value) for name, value in row.items()} for row in rows])
