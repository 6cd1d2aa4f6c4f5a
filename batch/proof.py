"""The proof before a publish: the log is whole, and at the same head the new version answers as the one that serves (law 2), over all keys.

A difference is allowed only where an escaped duplicate explains it; anything else raises ProofError, and the published version keeps serving.
"""

from typing import Any

import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from batch.engines import Engine, Hops
from millrace.errors import ProofError
from millrace.ledger import Ledger
from millrace.tables import Table

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


def prove_invariance(engine: Engine, table: Table, states: Hops | None, *, before: Any, after: Any, touched: set[str]) -> dict[str, int]:
    """Every row of the table is equal before and after the publish. ``touched``: nodes of escaped duplicates, whose differences are explained."""
    differing = engine.differing(before, after, states)
    unexplained = [key for key in differing if not touched.intersection(key)]
    if unexplained:
        shown = ", ".join(" ".join(key) for key in unexplained[:SHOWN])
        raise ProofError(
            f"{table.name}: the new version would answer differently for {len(unexplained)} keys (first: {shown}) and no escaped duplicate explains it; nothing was "
            "published, the last version keeps serving; rebuild the speed tables from the log or report this"
        )
    return {"rows_compared": engine.count(after), "differences": len(differing), "explained": len(differing)}
