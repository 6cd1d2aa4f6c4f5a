"""How far a tenant's topic goes, as the broker says: where the log has all of it, silence is silence of the sources and not of the stream. following.py asks.

A thread asks, so that a broker that is away keeps nobody waiting; what it said last is what counts, with the instant before it was asked.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Protocol

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from millrace.times import MICROS
from millrace.topics import events_topic
from serving.data_health.placing import Place
from serving.store.store import now_micros

log = logging.getLogger(__name__)
SKEW = 30 * MICROS
"""So much the clocks of this machine and the broker may differ."""
ASK_S = 5.0
BOOTSTRAP_MS = 4_000


class Topic(Protocol):
    """What is known of a topic."""

    def complete(self) -> Mapping[Place, tuple[int, int]]:
        """Of each partition an instant (microseconds) and the offset before which lay everything the broker had received by then; empty when it does not answer."""
        ...

    def close(self) -> None: ...


class KafkaTopic:
    """Asks every few seconds until it is closed. ``problem``: why it does not know, None while it does."""

    def __init__(self, bootstrap: str, tenant: str) -> None:
        self.problem: str | None = None
        self._bootstrap, self._name = bootstrap, events_topic(tenant)
        self._found: dict[Place, tuple[int, int]] = {}
        self._stop = threading.Event()
        self.asked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="topic-ends", daemon=True)
        self._thread.start()

    def complete(self) -> Mapping[Place, tuple[int, int]]:
        return self._found

    def close(self) -> None:
        self._stop.set()
        self._thread.join(ASK_S)

    def _run(self) -> None:
        consumer: KafkaConsumer | None = None
        while not self._stop.is_set():
            try:
                consumer = consumer or KafkaConsumer(bootstrap_servers=self._bootstrap, enable_auto_commit=False, bootstrap_timeout_ms=BOOTSTRAP_MS)
                self._found = self._ends(consumer)
                self.problem = None
            except (KafkaError, OSError) as error:
                self._found = {}
                self.problem = f"the Kafka broker at {self._bootstrap} does not answer ({type(error).__name__}); windows wait for the records after them"
                log.warning("topic not asked error=%s", type(error).__name__)
                consumer = _closed(consumer)
            self.asked.set()
            self._stop.wait(ASK_S)
        _closed(consumer)

    def _ends(self, consumer: KafkaConsumer) -> dict[Place, tuple[int, int]]:
        asked_at = now_micros() - SKEW
        numbers = consumer.partitions_for_topic(self._name) or ()
        ends = consumer.end_offsets([TopicPartition(self._name, number) for number in sorted(numbers)])
        return {(one.topic, one.partition): (asked_at, end) for one, end in ends.items()}


def _closed(consumer: KafkaConsumer | None) -> None:
    if consumer is not None:
        started = time.monotonic()
        consumer.close()
        log.debug("consumer closed seconds=%.1f", time.monotonic() - started)
