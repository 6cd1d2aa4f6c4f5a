"""De-duplication over all history: which rows of the log count. The speed layer judges over a bounded horizon; what escaped it is found and named here.

The first (epoch, partition, offset) of a dedup key counts, whatever the cuts are, so the verdict on a row never changes (law 6). Two forms of
one rule: ``repeated_rows`` on Arrow, ``judged`` on Spark frames.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from millrace.tables.catalogue import EVENTS
from millrace.tables.delta import TenantTables

POSITION = ("epoch", "partition", "offset")


def repeated_rows(rows: pa.Table, known: pa.Array) -> np.ndarray:
    """True for each row that is not the first of its dedup key, or whose key is among the ``known`` ones of earlier epochs."""
    order = np.lexsort([rows[name].to_numpy() for name in reversed(POSITION)])
    keys = rows["dedup_key"].combine_chunks()
    codes = keys.dictionary_encode().indices.to_numpy()[order]
    repeated = np.ones(len(rows), dtype=bool)
    repeated[order[np.unique(codes, return_index=True)[1]]] = False
    return repeated | pc.is_in(keys, value_set=known).to_numpy(zero_copy_only=False)


def keys_in_history(tables: TenantTables, keys: pa.Array, *, until: int) -> tuple[pa.Array, int]:
    """Which of the keys the epochs ≤ ``until`` hold, and how many rows those epochs have. Reads one narrow column, a part at a time."""
    found, rows = [], 0
    for batch in tables.batches(EVENTS, columns=["dedup_key"], where=pc.field("epoch") <= until):
        rows += len(batch)
        found.append(batch.column(0).filter(pc.is_in(batch.column(0), value_set=keys)))
    return pc.unique(pa.chunked_array(found, pa.binary())), rows


def judged(rows: DataFrame, history: DataFrame | None) -> DataFrame:
    """The rows with ``repeated``. ``history``: the rows of earlier epochs, of which only the keys are read.

    Only keys that come twice go through the costly aggregates: they are few, and finding them takes a count.
    """
    positions = rows.select("dedup_key", F.struct(*POSITION).alias("position"))
    often = positions.groupBy("dedup_key").agg(F.count(F.lit(1)).alias("n")).filter("n > 1").select("dedup_key")
    firsts = positions.join(often, "dedup_key", "left_semi").groupBy("dedup_key").agg(F.min("position").alias("first"))
    marked = rows.join(firsts, "dedup_key", "left")
    repeated = F.coalesce(F.col("first") != F.struct(*POSITION), F.lit(False))
    if history is None:
        return marked.select(*rows.columns, repeated.alias("repeated"))
    known = history.select("dedup_key").join(positions.select("dedup_key"), "dedup_key", "left_semi").distinct().select("dedup_key", F.lit(True).alias("known"))
    return marked.join(known, "dedup_key", "left").select(*rows.columns, (repeated | F.coalesce("known", F.lit(False))).alias("repeated"))
