"""Records into the tenant's topic of events, each acknowledged by the broker before anything is noted. Replays and pulls send with it."""

from collections.abc import Iterable
from typing import NamedTuple, Self

from kafka import KafkaProducer
from kafka.errors import KafkaError

from millrace.errors import BrokerUnavailable
from millrace.topics import events_topic

_ACKNOWLEDGED_S = 60


class Outgoing(NamedTuple):
    """One record: its message id, which is the key, its bytes, its source and further headers."""

    message_id: str
    value: bytes
    source: str
    headers: tuple[tuple[str, bytes], ...] = ()


class EventSender:
    """A connected producer for the events of a tenant; a context. BrokerUnavailable when no broker answers, or does not take a record."""

    def __init__(self, kafka: str, tenant: str) -> None:
        self._kafka, self._topic = kafka, events_topic(tenant)
        try:
            self._producer = KafkaProducer(bootstrap_servers=kafka, acks="all", enable_idempotence=True, linger_ms=5)
        except KafkaError as error:
            raise BrokerUnavailable(f"no Kafka broker answered at {kafka} ({type(error).__name__}); start one with `python -m jobs.run_broker` or check the address") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.close()

    def send(self, records: Iterable[Outgoing]) -> None:
        """Returns when the broker has all of them. What is sent again under the same source and message id counts once (ADR 0024)."""
        try:
            futures = [
                self._producer.send(self._topic, key=one.message_id.encode(), value=one.value, headers=[("source", one.source.encode()), *one.headers]) for one in records
            ]
            for future in futures:
                future.get(_ACKNOWLEDGED_S)
        except KafkaError as error:
            raise BrokerUnavailable(f"the Kafka broker at {self._kafka} did not take a record ({type(error).__name__}); start the job again, nothing is counted twice") from error
