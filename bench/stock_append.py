"""The stock stream that bench/freshness.py measures against: Spark's defaults, Kafka → from_json → one Delta append."""

import os

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from bench.trigger_times import run, trigger_times
from millrace.local.jars import spark_jars

SCHEMA = "type STRING, messageId STRING, userId STRING, anonymousId STRING, event STRING, timestamp STRING, properties STRUCT<revenue: DOUBLE, store_id: INT>"


def main(bootstrap: str, topic: str, folder: str, seconds: float, warm: float) -> list[float]:
    session = (
        SparkSession.builder.master("local[2]").appName("stock").config("spark.driver.extraClassPath", os.pathsep.join(map(str, spark_jars())))
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension").config("spark.ui.enabled", "false")
        .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog").config("spark.driver.memory", "2g")
        .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
    )  # fmt: skip
    records = session.readStream.format("kafka").option("kafka.bootstrap.servers", bootstrap).option("subscribe", topic).load()
    parsed = records.select("partition", "offset", "timestamp", F.from_json(F.col("value").cast("string"), SCHEMA).alias("m")).select(
        "partition", "offset", F.col("timestamp").alias("at"), "m.*"
    )
    query = parsed.writeStream.format("delta").option("checkpointLocation", f"{folder}/stock/checkpoint").start(f"{folder}/stock/table")
    found = trigger_times(query, seconds=seconds, warm=warm)
    session.stop()
    return found


if __name__ == "__main__":
    run(main)
