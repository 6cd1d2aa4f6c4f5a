"""De-duplication over all history: which rows of the log count. The speed layer judges over a bounded horizon; what escaped it is found and named here."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


@dataclass(frozen=True)
class Counted:
    """Rows of the log between two cuts that count, and the escaped ones: duplicates that the speed layer took for new."""

    events: DataFrame
    escaped: DataFrame


def counted_events(log: DataFrame, *, after: int, until: int) -> Counted:
    """Splits the epochs (after, until] of log/events. The first (epoch, partition, offset) of a dedup key counts, whatever the cuts are,
    so the verdict on a row never changes (law 6). One aggregation over the keys of all history finds the repeated ones."""
    position = F.struct("epoch", "partition", "offset")
    known = log.filter(F.col("epoch") <= until)
    repeated = (
        known.groupBy("dedup_key")
        .agg(F.count(F.lit(1)).alias("n"), F.min(position).alias("first"), F.max("epoch").alias("newest"))
        .filter((F.col("n") > 1) & (F.col("newest") > after))
        .select("dedup_key", "first")
    )
    judged = (
        known.filter(F.col("epoch") > after)
        .join(repeated, "dedup_key", "left")
        .select("*", (F.col("first").isNotNull() & (F.col("first") != position)).alias("repeats"))
    )
    return Counted(
        events=judged.filter(~F.coalesce("repeats", F.lit(False))).drop("first", "repeats"),
        escaped=judged.filter(F.coalesce("repeats", F.lit(False)) & ~F.col("is_duplicate")).drop("first", "repeats"),
    )
