"""Records of the topic as Spark columns: what of them goes to the standardisation (millrace/events/standard.py). The speed layer calls it."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.tracking_plan.verdicts import HEADER


def record_columns(records: DataFrame, *, stamped: bool = False) -> DataFrame:
    """One row per record. Columns: partition, offset, received_at, source (of its header; ``kafka`` without one), payload (the bytes as they came); ``stamped``:
    and stamp, the verdict of the collector (null without one)."""
    source = F.coalesce(_header("source", at=0), F.lit("kafka")).alias("source")
    stamp = [_header(HEADER, at=1).alias("stamp")] if stamped else []
    return records.select("partition", "offset", F.col("timestamp").alias("received_at"), source, *stamp, F.col("value").alias("payload"))


def _header(name: str, *, at: int) -> Column:
    """Text of the first header of this name. Mostly it is in this place, and Spark searches an array many times slower than it looks at one place."""
    first = F.get("headers", F.lit(at))
    found = F.when(first["key"] == name, first["value"]).otherwise(F.get(F.filter("headers", lambda header: header["key"] == name), F.lit(0))["value"])
    return F.make_valid_utf8(found.cast("string"))
