"""The proof before a publish: the log is whole, and at the same head the new version answers as the one that serves (law 2), over all keys.

A difference is allowed only where an escaped duplicate explains it; anything else raises ProofError, and the published version keeps serving.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.columns.fold import KEY
from millrace.errors import ProofError
from millrace.ledger import Ledger
from millrace.sketches import estimate
from millrace.tables import EDGES
from millrace.traits import State

SHOWN = 5
"""Keys a message names; the proof counts all."""


def prove_coverage(log: DataFrame, ledger: Ledger, *, after: int, until: int) -> dict[str, int]:
    """Every (epoch, partition) of the log in (after, until] holds as many rows as the ledger says, each offset once."""
    found = (
        log.filter((F.col("epoch") > after) & (F.col("epoch") <= until)).groupBy("epoch", "topic", "partition")
        .agg(F.count(F.lit(1)).alias("rows"), F.countDistinct("offset").alias("offsets")).toArrow().to_pylist()
    )  # fmt: skip
    rows = {(row["epoch"], row["topic"], row["partition"]): (row["rows"], row["offsets"]) for row in found}
    wrong = []
    for row in ledger.until(until).filter(pc.field("epoch") > after).to_pylist():
        expected = row["accepted"] + row["duplicate"]
        have = rows.pop((row["epoch"], row["topic"], row["partition"]), (0, 0))
        if have != (expected, expected):
            wrong.append(f"epoch {row['epoch']} of {row['topic']}/{row['partition']}: {expected} rows in the ledger, {have[0]} in the log ({have[1]} offsets)")
    wrong += [f"epoch {epoch} of {topic}/{partition}: {have[0]} rows in the log, none in the ledger" for (epoch, topic, partition), have in rows.items()]
    if wrong:
        raise ProofError(f"log/events and log/ledger disagree, nothing was published: {'; '.join(wrong[:SHOWN])}; restore log/events from a backup")
    return {"log_rows": sum(row["rows"] for row in found)}


def prove_view(before: DataFrame, after: DataFrame, states: dict[State, frozenset[int]], *, touched: set[str]) -> dict[str, int]:
    """Publish invariance of a view: every state of every (key, hop, hop_start) is equal. ``touched``: nodes of escaped duplicates, whose differences are explained."""
    joined = _shown(before, states).alias("l").join(_shown(after, states).alias("r"), list(KEY), "full_outer")
    exact = [~F.col(f"l.{s.name}").eqNullSafe(F.col(f"r.{s.name}")) for s in states if s.kind != "distinct"]
    sketches = [s for s in states if s.kind == "distinct"]
    pairs = F.array(*(F.struct(F.col(f"l.{s.name}").alias("l"), F.col(f"r.{s.name}").alias("r")) for s in sketches)) if sketches else F.lit(None)
    flagged = joined.select("key", _any(exact).alias("differs"), *([pairs.alias("sketches")] if sketches else []))
    suspects = flagged.filter(F.col("differs") | F.exists("sketches", lambda pair: ~pair["l"].eqNullSafe(pair["r"]))) if sketches else flagged.filter("differs")
    if sketches:
        suspects = suspects.mapInArrow(_unequal_estimates, "key STRING")
    return _verdict(suspects.select("key"), touched, compared=after)


def prove_edges(before: DataFrame, after: DataFrame, *, touched: set[str]) -> dict[str, int]:
    """Publish invariance of the edges: same pairs, times, counts and first positions."""
    joined = before.alias("l").join(after.alias("r"), ["a", "b"], "full_outer")
    differs = _any([~F.col(f"l.{name}").eqNullSafe(F.col(f"r.{name}")) for name in EDGES.names if name not in ("a", "b")])
    explained = F.when(F.col("a").isin(*touched) | F.col("b").isin(*touched), F.col("a")) if touched else F.lit(None)
    return _verdict(joined.filter(differs).select(F.coalesce(explained, F.concat_ws(" ", "a", "b")).alias("key")), touched, compared=after)


def _shown(rows: DataFrame, states: dict[State, frozenset[int]]) -> DataFrame:
    """The states in the hops they are kept for, without rows that hold none: what an answer can depend on."""
    kept = [F.when(F.col("hop").isin(*hops), F.col(f"`{state.name}`")).alias(state.name) for state, hops in states.items()]
    return rows.select(*KEY, *kept).filter(_any([F.col(f"`{state.name}`").isNotNull() for state in states]))


def _any(flags: list[Column]) -> Column:
    found = F.lit(False)
    for flag in flags:
        found = found | flag
    return found


def _unequal_estimates(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Keys whose exact states differ or whose sketches, unequal in bytes, differ in their estimate too."""
    for batch in batches:
        rows = batch.to_pylist()
        keys = [row["key"] for row in rows if row["differs"] or any(estimate(pair["l"]) != estimate(pair["r"]) for pair in row["sketches"])]
        yield pa.RecordBatch.from_arrays([pa.array(keys, pa.string())], ["key"])


def _verdict(differing: DataFrame, touched: set[str], *, compared: DataFrame) -> dict[str, Any]:
    rows = differing.groupBy("key").count().limit(100_000).toArrow().to_pylist()
    unexplained = [row["key"] for row in rows if row["key"] not in touched]
    if unexplained:
        raise ProofError(
            f"the new version would answer differently for {len(unexplained)} keys (first: {', '.join(unexplained[:SHOWN])}) and no escaped duplicate explains it; "
            "nothing was published, the last version keeps serving; rebuild the speed tables from the log or report this"
        )
    return {"rows_compared": compared.count(), "differences": sum(row["count"] for row in rows), "explained": sum(row["count"] for row in rows)}
