"""Nodes seen with many others, on executors: edges in, rows (node, linked) out. batch/regions.py calls it; what it means is millrace/identity/crowds.py's.

Ends are counted by hashes first, which leaves few; those are counted by name.
"""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.identity.crowds import Crowding, counted_from
from millrace.identity.rules import Rules

if TYPE_CHECKING:
    from batch.regions import Given


def many_linked(given: "Given") -> DataFrame | None:
    """Nodes with as many distinct others, blocked ones aside, as their number is kept for; None where no namespace has ``crowded_from``."""
    crowding = Crowding(given.rules)
    if not crowding:
        return None
    a, b = F.col("a"), F.col("b")
    pairs = given.edges.filter(a != b)
    ends = pairs.select(F.explode(F.array(F.xxhash64(a), F.xxhash64(b))).alias("hash"))
    busy = given.beside(ends.groupBy("hash").agg(F.count(F.lit(1)).alias("rows")).filter(F.col("rows") >= crowding.least).select("hash"))
    both = pairs.select(F.inline(F.array(F.struct(a.alias("node"), b.alias("other")), F.struct(b.alias("node"), a.alias("other")))))
    asked = both.withColumn("hash", F.xxhash64("node")).join(busy, on="hash", how="left_semi")
    blocked = given.small(pa.table({"other": pa.array(sorted(given.rules.blocked), pa.string())}))
    counted = asked.join(blocked, on="other", how="left_anti").groupBy("node").agg(F.count_distinct("other").alias("linked"))
    return given.keep(counted.filter(_reaches(given.rules, half=True)))


def crowded(given: "Given", many: DataFrame) -> DataFrame:
    """The nodes of them that join nobody, unless something else is known of them."""
    known = given.rules.blocked | given.decisions.removed | {node for pair in given.decisions.joined for node in pair}
    return many.filter(_reaches(given.rules, half=False)).join(given.small(pa.table({"node": pa.array(sorted(known), pa.string())})), on="node", how="left_anti").select("node")


def _reaches(rules: Rules, *, half: bool) -> Column:
    found = [
        F.col("node").startswith(f"{name}:") & (F.col("linked") >= (counted_from(most) if half else most))
        for name, most in zip(rules.namespaces, rules.crowded_from, strict=True)
        if most is not None
    ]
    return reduce(or_, found, F.lit(False))
