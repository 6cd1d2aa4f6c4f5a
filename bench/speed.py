"""Throughput of the speed path: events per second of full epochs, ÷ Spark's own Kafka → noop with the same parse, turn about in one session.

Both read the same topic from its beginning in epochs of 100,000 records; the first epochs of each warm the JVM and are not counted. bench/run.py calls ``measure``.
"""

import json
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from millrace.definitions import DEFAULT_DIRECTORY, load_definitions
from millrace.events.messages import BODIES, ENVELOPE, TRAIT_PATHS
from millrace.events.values import value_specs
from millrace.keys import load_or_create_keys
from millrace.local.broker import Broker
from millrace.session import create_session
from millrace.tables.delta import TenantTables
from millrace.topics import ensure_topic
from speed.stream import StreamSettings, run_stream

MUST, AIM = 0.5, 0.6
TENANT, EVENTS, EPOCH, ROUNDS = "bench", 500_000, 100_000, 3
WARM_UP = 3
"""Rounds that are not counted: the JVM compiles for more than a million events."""


def measure() -> dict[str, Any]:
    """Median of the rounds' ratios; ``value`` and ``baseline`` in events/s."""
    with tempfile.TemporaryDirectory() as folder, Broker(folder) as broker:
        load_or_create_keys(folder, TENANT)
        topic = ensure_topic(broker.bootstrap, TENANT)
        produce(broker.bootstrap, topic, EVENTS)
        spark = create_session("bench", memory="3g")
        for _ in range(WARM_UP):
            speed_path(spark, folder, broker.bootstrap)
            kafka_to_noop(spark, folder, broker.bootstrap, topic)
        runs = [(speed_path(spark, folder, broker.bootstrap), kafka_to_noop(spark, folder, broker.bootstrap, topic)) for _ in range(ROUNDS)]
        spark.stop()
    ratios = [value / baseline for value, baseline in runs]
    middle = sorted(range(ROUNDS), key=lambda n: ratios[n])[ROUNDS // 2]
    return {"ratio": statistics.median(ratios), "value": runs[middle][0], "baseline": runs[middle][1], "must": MUST, "aim": AIM, "runs": runs}


def message(dice: random.Random, number: int) -> dict[str, Any]:
    """An order of about 400 bytes, of one of 50,000 people with one to three devices."""
    person = dice.randrange(50_000)
    lines = [{"product_id": str(dice.randrange(10_000)), "quantity": dice.randrange(1, 5), "price": dice.randrange(1, 5_000) / 100} for _ in range(2)]
    return {
        "type": "track", "event": "Order Completed", "messageId": f"m-{number}-{dice.getrandbits(64):x}", "userId": f"user-{person}", "anonymousId": f"device-{person}-{dice.randrange(3)}",
        "timestamp": f"2026-10-{dice.randrange(1, 30):02d}T{dice.randrange(24):02d}:00:00Z",
        "properties": {"order_id": str(number), "revenue": dice.randrange(1, 100_000) / 100, "currency": "USD", "store_id": dice.randrange(50), "products": lines},
    }  # fmt: skip


def produce(bootstrap: str, topic: str, count: int) -> None:
    dice = random.Random(7)
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=20, batch_size=1 << 18, compression_type="lz4")
    for number in range(count):
        value = json.dumps(message(dice, number), separators=(",", ":")).encode()
        producer.send(topic, value=value, key=b"%d" % (number % 1_000), headers=[("source", b"bench")])
    producer.flush()
    producer.close()


def speed_path(spark: SparkSession, folder: str, bootstrap: str) -> float:
    """Events/s of the whole speed path into fresh tables: log, rejected, increments, edges, ledger."""
    for name in ("log", "speed", "checkpoints"):
        shutil.rmtree(Path(folder) / TENANT / name, ignore_errors=True)
    stream = run_stream(spark, TenantTables(folder, TENANT), load_definitions(DEFAULT_DIRECTORY), kafka=bootstrap, settings=StreamSettings(max_records=EPOCH))
    times: list[float] = []
    while len(times) < EVENTS // EPOCH:
        if not stream.query.isActive:
            raise SystemExit(f"the stream ended early: {stream.query.exception()}")
        asked = time.monotonic()
        while len(times) < EVENTS // EPOCH and time.monotonic() - asked < 1:  # asking the JVM all the time would be part of what is measured
            times.extend([time.monotonic()] * (stream.writer.head - len(times)))
            time.sleep(0.005)
    stream.stop()
    return (len(times) - 1) * EPOCH / (times[-1] - times[0])


def kafka_to_noop(spark: SparkSession, folder: str, bootstrap: str, topic: str) -> float:
    """Events/s of Spark alone: Kafka, the same from_json with the same schema, no sink."""
    shutil.rmtree(Path(folder) / "noop", ignore_errors=True)
    records = (
        spark.readStream.format("kafka").option("kafka.bootstrap.servers", bootstrap).option("subscribe", topic)
        .option("startingOffsets", "earliest").option("maxOffsetsPerTrigger", EPOCH).option("includeHeaders", "true").load()
    )  # fmt: skip
    message = F.from_json(F.col("value").cast("string"), message_schema())
    parsed: DataFrame = records.select("topic", "partition", "offset", "timestamp", "headers", message.alias("message"))
    return _rate(parsed.writeStream.format("noop").option("checkpointLocation", f"{folder}/noop").trigger(availableNow=True).start())


def message_schema() -> str:
    """The DDL of a message: the envelope, and of each body the first-level keys that identity and the values need, as text."""
    specs = value_specs(state for view in load_definitions(DEFAULT_DIRECTORY).states.values() for state in view)
    paths = sorted({*TRAIT_PATHS, *(path for path, _ in specs)})
    keys = {body: dict.fromkeys(path.split(".")[1] for path in paths if path.startswith(f"{body}.")) for body in BODIES}
    bodies = (f"{body}: STRUCT<{', '.join(f'`{key}`: STRING' for key in found)}>" for body, found in keys.items())
    return f"STRUCT<{', '.join([*(f'{name}: STRING' for name in ENVELOPE), *bodies])}>"


def _rate(query: Any) -> float:
    query.awaitTermination()
    counted = [p for p in query.recentProgress if p.numInputRows][1:]
    return sum(p.numInputRows for p in counted) / sum(p.durationMs["triggerExecution"] for p in counted) * 1000
