"""A tenant of its own on the shared broker, for tests of the real stack: send messages, run the stream until it has read them, look at the tables."""

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
from kafka import KafkaProducer

from millrace.definitions import Definitions
from millrace.keys import load_or_create_keys
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import read_ledger
from millrace.topics import ensure_topic

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from millrace.local.broker import Broker

_ORDER = {"event": "Order Completed"}
ORDERS: dict[str, Any] = {
    "person": {"key": "node", "traits": {"orders": {**_ORDER, "op": "count"}, "spend": {**_ORDER, "op": "sum", "value": "properties.revenue"}}}
}


class Tenant:
    """Definitions count orders and add up their revenue until a test gives others."""

    def __init__(self, spark: "SparkSession", broker: "Broker", root: Path) -> None:
        self.spark, self.bootstrap, self.name = spark, broker.bootstrap, f"t{uuid.uuid4().hex[:8]}"
        self.keys = load_or_create_keys(root, self.name)
        self.tables = TenantTables(root, self.name)
        self.topic = ensure_topic(self.bootstrap, self.name)
        self.definitions = Definitions.model_validate({"views": ORDERS})
        self.checkpoint = Path(self.tables.path("checkpoints/stream"))
        self.producer = KafkaProducer(bootstrap_servers=self.bootstrap)

    def send(self, *messages: dict[str, Any] | bytes, partition: int = 0, source: str = "test") -> None:
        for message in messages:
            value = message if isinstance(message, bytes) else json.dumps(message).encode()
            self.producer.send(self.topic, value=value, partition=partition, headers=[("source", source.encode())])
        self.producer.flush()

    def run(self, **settings: int) -> "StreamingQuery":
        from speed.stream import StreamSettings, start_stream

        query = start_stream(self.spark, self.tables, self.definitions, kafka=self.bootstrap, settings=StreamSettings(available_now=True, **settings))
        query.awaitTermination()
        return query

    def orders(self) -> int:
        """Orders in the increments of all epochs that exist."""
        rows = self.tables.read("speed/person", where=pc.field("epoch") <= read_ledger(self.tables).head)
        return pc.sum(rows["count_order_completed"]).as_py() or 0


def order(message_id: str, user: str = "u1", revenue: float = 10, **more: Any) -> dict[str, Any]:
    """An order of May 2017."""
    message = {
        "type": "track",
        "event": "Order Completed",
        "messageId": message_id,
        "userId": user,
        "properties": {"revenue": revenue},
        "timestamp": "2017-05-06T07:08:09Z",
    }
    return message | more
