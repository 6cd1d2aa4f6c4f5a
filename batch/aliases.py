"""Values that aliases and decisions make one, before regions are known: pairs in, the value each stands for and the aliases of too many values out. batch/regions.py calls it.

Their groups are components of few edges, so they are found first; each is judged by millrace/identity/verdicts.py as if nothing else were there, which gives the same
values: what makes values one are aliases and decided joins alone.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from batch.components import components_of
from millrace.identity.decisions import Decisions
from millrace.identity.groups import PARTED
from millrace.identity.node_codes import codes_of
from millrace.identity.rules import Rules
from millrace.identity.verdicts import judge
from millrace.tables.positions import ages_of

if TYPE_CHECKING:
    from batch.regions import Given

_FOUND = pa.schema([("a", pa.string()), ("b", pa.string()), ("code", pa.int32())])
_FOUND_DDL = "a STRING, b STRING, code INT"
_VALUE, _DECIDED = -1, -2


class Aliases(NamedTuple):
    """``values``: nodes and the value that stands for each, where it is another. ``crowded``: pairs that are aliases of too many values, with the code of
    the reason. None where there is nothing. ``decided``: nodes of decided joins that stand."""

    values: DataFrame | None = None
    crowded: DataFrame | None = None
    decided: frozenset[str] = frozenset()


def aliases_of(given: "Given", open_pairs: DataFrame) -> Aliases:
    """Of pairs none of which is blocked or removed: a, b, first_seen."""
    a, b = F.col("a"), F.col("b")
    twins = given.keep(open_pairs.filter(given.is_unique(a) & given.is_unique(b) & (given.space(a) == given.space(b))))
    count, joined = twins.count(), _joined(given)
    if not count and not len(joined):
        return Aliases()
    nothing_seen = F.struct(F.lit(0).cast("bigint").alias("epoch"), F.lit(0).alias("partition"), F.lit(0).cast("bigint").alias("offset"))
    pairs = twins.withColumn("is_decided", F.lit(False)).union(given.small(joined).select("a", "b", nothing_seen, F.lit(True)))
    pairs = pairs.select("*", given.number(a).alias("u"), given.number(b).alias("v"))
    labels = components_of(pairs.select("u", "v"), most=count + len(joined), kept=given.kept, at_once=given.at_once).labels
    grouped = pairs.join(labels.toDF("u", "label"), on="u", how="left").withColumn("label", F.coalesce("label", "u"))
    partitions = -(-(count + len(joined)) // given.at_once)
    judged = grouped.repartition(partitions, "label").select("a", "b", "first_seen", "is_decided").mapInArrow(_judged(given.rules, given.decisions), _FOUND_DDL)
    judged = given.keep(judged)
    decided = frozenset(node for row in judged.filter(F.col("code") == _DECIDED).toArrow().to_pylist() for node in (row["a"], row["b"]))
    return Aliases(judged.filter(F.col("code") == _VALUE).select("a", "b"), judged.filter("code > 0").distinct(), decided)


def _joined(given: "Given") -> pa.Table:
    """Pairs that decisions join, both of which edges show and nothing keeps alone."""
    if pairs := given.joined:
        asked = given.small(pa.table({"node": sorted({node for pair in pairs for node in pair})}))
        ends = given.edges.select(F.explode(F.array("a", "b")).alias("node"))
        seen = set(ends.join(asked, on="node", how="left_semi").distinct().toArrow()["node"].to_pylist())
        pairs = [pair for pair in pairs if seen.issuperset(pair)]
    return pairs_table(pairs)


def pairs_table(pairs: Sequence[tuple[str, str]]) -> pa.Table:
    """Columns a and b."""
    return pa.table({name: pa.array([pair[end] for pair in pairs], pa.string()) for end, name in enumerate(("a", "b"))})


def _judged(rules: Rules, decisions: Decisions) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        if found := list(batches):
            yield from _of_groups(pa.Table.from_batches(found), rules, decisions).to_batches()

    return run


def _of_groups(pairs: pa.Table, rules: Rules, decisions: Decisions) -> pa.Table:
    """Rows of whole groups: (node, value that stands for it), (a, b) of a crowded alias with its reason, and (a, b) of a decided join that stands."""
    names, codes = codes_of(pa.chunked_array([*pairs["a"].chunks, *pairs["b"].chunks]))
    left, right = np.split(codes, 2)
    is_decided = pairs["is_decided"].to_numpy()
    seen = ~is_decided
    age, _ = ages_of(pairs["first_seen"].combine_chunks())
    verdict = judge(names, (left[seen], right[seen], age[seen]), rules, decisions)
    another = np.flatnonzero(verdict.value != np.arange(len(names)))
    crowded = (verdict.refused > 0) & (verdict.refused != PARTED)
    stands = is_decided & (verdict.person[left] == verdict.person[right])
    found = [
        (names.take(pa.array(another)), names.take(pa.array(verdict.value[another])), np.full(len(another), _VALUE)),
        (*(names.take(pa.array(end[seen][crowded])) for end in (left, right)), verdict.refused[crowded]),
        (*(names.take(pa.array(end[stands])) for end in (left, right)), np.full(stands.sum(), _DECIDED)),
    ]
    return pa.concat_tables(pa.table([a, b, pc.cast(pa.array(code), pa.int32())], schema=_FOUND) for a, b, code in found)
