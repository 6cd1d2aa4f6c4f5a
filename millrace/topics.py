"""The Kafka topics of a tenant: their names, and making one when it is not there. Collector, speed layer and the follower of segments call it."""

import math

from kafka.admin import ConfigResource, KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from millrace.errors import BrokerUnavailable
from millrace.settings import DEFAULTS


def events_topic(tenant: str) -> str:
    return f"{tenant}.events"


def memberships_topic(tenant: str) -> str:
    """Who entered and left which segment, keyed by person."""
    return f"{tenant}.memberships"


def ensure_topic(
    bootstrap: str, tenant: str, *, topic: str = "", partitions: int = DEFAULTS.kafka.partitions, replication: int = DEFAULTS.kafka.replication, wait_s: float = 30
) -> str:
    """Name of the tenant's topic (default: that of its events), made if it is missing. BrokerUnavailable when no broker answers within ``wait_s`` seconds."""
    topic = topic or events_topic(tenant)
    settings = {"message.timestamp.type": "LogAppendTime"}
    try:
        for attempt in Retrying(retry=retry_if_exception_type(KafkaError), stop=stop_after_delay(wait_s), wait=wait_fixed(0.3), reraise=True):
            with attempt:
                admin = KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
                try:
                    if topic not in admin.list_topics():
                        admin.create_topics([NewTopic(topic, partitions, replication, topic_configs=settings)])
                except TopicAlreadyExistsError:
                    pass
                finally:
                    admin.close()
    except KafkaError as error:
        raise BrokerUnavailable(
            f"no Kafka broker answered at {bootstrap} within {wait_s:g} s ({type(error).__name__}); start one with `python -m jobs.run_broker` or check the address"
        ) from error
    return topic


def kept_s(bootstrap: str, topic: str) -> float:
    """Seconds for which the broker keeps the records of a topic that exists; infinity for ever."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
    try:
        found = admin.describe_configs([ConfigResource("TOPIC", topic)], config_filter="all")["topic"][topic]["retention.ms"]["value"]
        return float(found) / 1000 if float(found) >= 0 else math.inf
    except KafkaError as error:
        raise BrokerUnavailable(f"the Kafka broker at {bootstrap} did not describe topic {topic} ({type(error).__name__}); check that it runs") from error
    finally:
        admin.close()


def partition_count(bootstrap: str, topic: str) -> int:
    """Number of partitions of a topic that exists."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
    try:
        (described,) = admin.describe_topics([topic])
        return len(described["partitions"])
    except KafkaError as error:
        raise BrokerUnavailable(f"the Kafka broker at {bootstrap} did not describe topic {topic} ({type(error).__name__}); check that it runs") from error
    finally:
        admin.close()
