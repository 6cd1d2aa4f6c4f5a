"""Looks after the connection to Kafka: finds the broker, makes the topic, asks for metadata once a second, renews a producer that fails. One thread.

kafka_publisher.py reads ``connection``, ``answers`` and ``is_away`` from the event loop; each changes by one assignment.
"""

import contextlib
import logging
import socket
import threading
from dataclasses import dataclass, replace

from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError, KafkaTimeoutError, for_code

from millrace.errors import BrokerUnavailable
from millrace.settings import KafkaSettings
from millrace.topics import ensure_topic, events_topic
from serving.collector.record_batches import BATCH_BYTES

logger = logging.getLogger(__name__)

PROBE_EVERY_S = 1.0
LOOK_EVERY_S = 0.2
PROBE_TIMEOUT_S = 3.0
MISSES_UNTIL_AWAY = 2
ANSWERS_UNTIL_RENEWAL = 3
CLOSE_S = 5.0



@dataclass(frozen=True)
class Connection:
    """What is needed to publish: a producer that knows its topic, and the number of partitions the keys are spread over."""

    producer: KafkaProducer
    topic: str
    partitions: int


class BrokerWatch:
    """``answers``: the last metadata request was acknowledged. ``is_away``: several in a row were not, or none ever was."""

    def __init__(self, kafka: KafkaSettings, tenant: str, *, delivery_timeout_s: float) -> None:
        self.connection: Connection | None = None
        self.answers = False
        self.is_away = True
        self._kafka, self._bootstrap = kafka, kafka.bootstrap
        self._tenant = tenant
        self._delivery_ms = int(delivery_timeout_s * 1000)
        self._admin: KafkaAdminClient | None = None
        self._misses = self._answers_in_row = 0
        self._undelivered: Exception | None = None
        self._reported = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="broker-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def delivered(self, error: Exception | None) -> None:
        """Hears the end of every batch, good or bad, from any thread."""
        self._undelivered = error

    def close(self) -> None:
        """Flushes and ends the threads. What the broker does not take within seconds was acknowledged to nobody."""
        self._stopping.set()
        self._thread.join(CLOSE_S)
        if self.connection is not None:
            _close(self.connection.producer, CLOSE_S)

    def _run(self) -> None:
        while not self._stopping.wait(PROBE_EVERY_S if self.answers else LOOK_EVERY_S):
            try:
                self._look()
            except (KafkaError, BrokerUnavailable, OSError) as error:
                self._missed(error)
            except Exception as error:  # edge of the thread: without it the collector would never find its broker again
                logger.exception("broker_watch_failed")
                self._missed(error)
        self._drop_admin()

    def _look(self) -> None:
        if not self.answers:
            self._reach()
        if self.connection is None:
            topic = ensure_topic(self._bootstrap, self._tenant, partitions=self._kafka.partitions, replication=self._kafka.replication, wait_s=PROBE_TIMEOUT_S)
            partitions = self._probe(topic)
            self.connection = Connection(self._new_producer(), topic, partitions)
        elif (partitions := self._probe(self.connection.topic)) != self.connection.partitions:
            self.connection = replace(self.connection, partitions=partitions)
        self._misses = 0
        self._answers_in_row += 1
        if self._undelivered is not None and self._answers_in_row >= ANSWERS_UNTIL_RENEWAL:
            self._renew(self.connection)
        if not self.answers:
            logger.info("broker_answers topic=%s partitions=%d", self.connection.topic, partitions)
        self.answers, self.is_away, self._reported = True, False, ""

    def _missed(self, error: Exception) -> None:
        if self._reported != type(error).__name__:
            self._reported = type(error).__name__
            logger.warning("broker_silent error=%s", self._reported)
        self._answers_in_row = 0
        self._misses += 1
        self.answers = False
        self.is_away = self.is_away or self._misses >= MISSES_UNTIL_AWAY
        self._drop_admin()

    def _reach(self) -> None:
        """One plain connection to the first broker that takes it: kafka-python waits longer and longer between its attempts, this tells at once."""
        missed: OSError | None = None
        for address in self._bootstrap.split(","):
            host, _, port = address.strip().rpartition(":")
            try:
                socket.create_connection((host.strip("[]"), int(port)), timeout=PROBE_TIMEOUT_S).close()
                return
            except OSError as error:
                missed = error
        raise missed or OSError("no address")

    def _probe(self, topic: str) -> int:
        """Number of partitions the broker knows of; KafkaError when it does not answer or one of them has no leader."""
        if self._admin is None:
            timeout_ms = int(PROBE_TIMEOUT_S * 1000)
            self._admin = KafkaAdminClient(bootstrap_servers=self._bootstrap, request_timeout_ms=timeout_ms, bootstrap_timeout_ms=timeout_ms)
        described = self._admin.describe_topics([topic])[0]
        for part in (described, *described["partitions"]):
            if part["error_code"]:
                raise for_code(part["error_code"])
        return len(described["partitions"])

    def _drop_admin(self) -> None:
        if self._admin is not None:
            with contextlib.suppress(KafkaError, OSError):
                self._admin.close()
            self._admin = None

    def _new_producer(self) -> KafkaProducer:
        producer = KafkaProducer(
            bootstrap_servers=self._bootstrap, client_id="millrace-collector", acks="all", enable_idempotence=True, compression_type="lz4",
            batch_size=BATCH_BYTES, delivery_timeout_ms=self._delivery_ms, request_timeout_ms=self._delivery_ms // 2,
            max_block_ms=int(PROBE_TIMEOUT_S * 1000), bootstrap_timeout_ms=int(PROBE_TIMEOUT_S * 1000), reconnect_backoff_max_ms=500, metrics_enabled=False,
        )  # fmt: skip
        producer.partitions_for(events_topic(self._tenant))
        return producer

    def _renew(self, connection: Connection) -> None:
        """A new producer for one that ended its last batch without success while the broker answers: a lost producer id does not mend itself."""
        logger.warning("producer_renewed error=%s", type(self._undelivered).__name__)
        self.connection = replace(connection, producer=self._new_producer())
        self._undelivered, self._answers_in_row = None, 0
        _close(connection.producer, 0)


def _close(producer: KafkaProducer, timeout_s: float) -> None:
    try:
        producer.close(timeout=timeout_s)
    except KafkaTimeoutError:
        producer._sender.force_close()
