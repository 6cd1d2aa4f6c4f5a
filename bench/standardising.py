"""Standardising: events per CPU second of the function both layers call, ÷ Spark's plain ``from_json`` of the same records in the same run.

Ours takes records as the stream hands them over and gives the columns of the log, with identities, values and the verdict on each; Spark parses the same text by
the schema the speed benchmark uses, from memory into no sink. CPU of the whole process on either side, so that the number of threads counts for neither.
bench/run.py calls ``measure``.
"""

import json
import random
import statistics
import time
from typing import Any

import psutil
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from bench.speed import message, message_schema
from millrace.definitions import DEFAULT_DIRECTORY, load_definitions
from millrace.events.standard import Standardizer
from millrace.session import create_session

MUST, AIM = 0.6, 1.0
RECORDS, EPOCH, ROUNDS, WARM_UP = 200_000, 50_000, 5, 4
SECRET = bytes(range(32))


def measure() -> dict[str, Any]:
    """Median of the rounds' ratios; ``value`` and ``baseline`` in events per CPU second."""
    dice = random.Random(7)
    payloads = [json.dumps(message(dice, number), separators=(",", ":")).encode() for number in range(RECORDS)]
    spark = create_session("bench", memory="3g")
    parsed = parsed_by_spark(spark, payloads)
    epochs = [records(payloads[start : start + EPOCH], start) for start in range(0, RECORDS, EPOCH)]
    states = [state for view in load_definitions(DEFAULT_DIRECTORY).states.values() for state in view]
    standardizer = Standardizer(states, SECRET)
    runs = [(RECORDS / standardise(standardizer, epochs), RECORDS / parse(spark, parsed)) for _ in range(WARM_UP + ROUNDS)][WARM_UP:]
    spark.stop()
    ratios = [value / baseline for value, baseline in runs]
    middle = sorted(range(ROUNDS), key=lambda n: ratios[n])[ROUNDS // 2]
    return {"ratio": statistics.median(ratios), "value": runs[middle][0], "baseline": runs[middle][1], "must": MUST, "aim": AIM, "runs": runs}


def records(payloads: list[bytes], first: int) -> pa.Table:
    """What Kafka holds, as the stream hands it over."""
    count = len(payloads)
    return pa.table(
        {
            "partition": pa.repeat(pa.scalar(0, pa.int32()), count), "offset": pa.array(range(first, first + count), pa.int64()),
            "received_at": pa.repeat(pa.scalar(time.time_ns() // 1_000, pa.int64()), count).cast(pa.timestamp("us", tz="UTC")),
            "source": pa.repeat("bench", count), "payload": pa.array(payloads, pa.binary()),
        }
    )  # fmt: skip


def standardise(standardizer: Standardizer, epochs: list[pa.Table]) -> float:
    """CPU seconds of this process."""
    started = time.process_time()
    for epoch in epochs:
        standardizer.standardize(epoch)
    return time.process_time() - started


def parsed_by_spark(spark: SparkSession, payloads: list[bytes]) -> DataFrame:
    """A frame that parses the payloads, which stand in Spark's memory."""
    held = spark.createDataFrame(pa.table({"value": pa.array(payloads, pa.binary())})).select(F.col("value").cast("string").alias("value")).cache()
    held.count()
    return held.select(F.from_json("value", message_schema()).alias("message"))


def parse(spark: SparkSession, parsed: DataFrame) -> float:
    """CPU seconds of Spark's process."""
    process = psutil.Process(spark._jvm.ProcessHandle.current().pid())
    before = sum(process.cpu_times()[:2])
    parsed.write.format("noop").mode("overwrite").save()
    return sum(process.cpu_times()[:2]) - before


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
