"""Connected components of a graph that fits no single machine: pairs of numbers on Spark in, a label for each of them out. batch/regions.py calls it.

The graph is contracted in rounds of one shuffle each (docs/adr/0019). Every pair is directed, from a child to a parent, by an order of the nodes. The pairs of
a child meet in one partition; the partition finds its components in memory and lets a parent stand for each. A child that is nobody's parent has all
its pairs there: it is a leaf, and done. What is left are pairs of parents, and the next round directs them by another order: a third of a chain is done in each,
more where partitions hold more. As soon as the pairs fit one partition, one round ends it.
"""

import logging
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from millrace.errors import ProofError

log = logging.getLogger(__name__)
PAIRS_AT_ONCE = 1_000_000
"""Pairs of a partition: some 200 MB in its Python worker."""
MOST_ROUNDS = 100
"""A chain of 10^20 nodes takes fewer."""
LABELS = pa.schema([("node", pa.int64()), ("label", pa.int64())])
_CONTRACTED = pa.schema([*LABELS, ("is_leaf", pa.bool_())])
Kept = list[DataFrame]


class Components(NamedTuple):
    """Rows (node, label) of the nodes that do not stand for themselves; nodes of one component have one label. ``parents``: only those that are the smaller end
    of a pair, mostly few. ``rounds``: how many it took."""

    labels: DataFrame
    parents: DataFrame
    rounds: int


def components_of(pairs: DataFrame, *, most: int, kept: Kept, at_once: int = PAIRS_AT_ONCE) -> Components:
    """Components of at ``most`` so many pairs (u, v) of numbers; pairs may come again and either way round. Frames that the result needs are added
    to ``kept``: the caller frees them. ProofError when it does not come to an end."""
    directed = pairs.select(F.greatest("u", "v").alias("child"), F.least("u", "v").alias("parent"))
    levels: list[DataFrame] = []
    while most:
        if len(levels) == MOST_ROUNDS:
            raise ProofError(f"components: {most} pairs are left after {MOST_ROUNDS} rounds, at most {MOST_ROUNDS} are allowed; nothing was published, report this as a defect")
        partitions = -(-most // at_once)
        contracted = _contracted(directed, partitions)
        if levels:
            level = cut(contracted)
        else:
            level = contracted.persist(StorageLevel.MEMORY_AND_DISK)
            kept.append(level)
        levels.append(level)
        if partitions == 1:
            break
        left = level.filter("NOT is_leaf")
        most = left.count()
        log.info("components round=%d partitions=%d pairs_left=%d", len(levels), partitions, most)
        directed = _directed(left, number=len(levels)).distinct()
    return _unrolled(levels, pairs.sparkSession.createDataFrame(LABELS.empty_table()))


def cut(frame: DataFrame) -> DataFrame:
    """The rows of the frame without the plan that made them, which would double with every use in another. They live in the executors: when one is lost, the run fails."""
    return frame.localCheckpoint(eager=True, storageLevel=StorageLevel.MEMORY_AND_DISK)


def _contracted(directed: DataFrame, partitions: int) -> DataFrame:
    """Rows (node, label, is_leaf). Each parent is sent to its own partition too, as a pair with itself: there it is known to be no leaf."""
    ends = F.array(F.struct(F.col("child").alias("node"), F.col("parent").alias("other")), F.struct(F.col("parent").alias("node"), F.col("parent").alias("other")))
    keyed = directed.select(F.inline(ends)) if partitions > 1 else directed.toDF("node", "other")
    return keyed.repartition(partitions, "node").mapInArrow(_in_partition, "node BIGINT, label BIGINT, is_leaf BOOLEAN")


def _in_partition(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    if found := [(batch["node"].to_numpy(), batch["other"].to_numpy()) for batch in batches]:
        contracted = contract(*(np.concatenate(side) for side in zip(*found, strict=True)))
        yield from pa.table(list(contracted), schema=_CONTRACTED).to_batches(max_chunksize=50_000)


def contract(node: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of pairs (child, parent), and (parent, parent) for those known to be parents: the nodes that something else stands for, the smallest parent of their
    component, and whether they are leaves: nobody's parent here, and not known to be one elsewhere."""
    is_pair = node != other
    if not is_pair.any():
        return node[:0], node[:0], is_pair[:0]
    nodes, ends = np.unique(np.r_[node[is_pair], other[is_pair]], return_inverse=True)
    child, parent = np.split(ends, 2)
    count, group = connected_components(coo_matrix((np.ones(len(child), np.int8), (child, parent)), shape=(len(nodes), len(nodes))), directed=False)
    first = np.full(count, len(nodes))
    np.minimum.at(first, group[parent], parent)
    is_parent = np.isin(nodes, node[~is_pair])
    is_parent[parent] = True
    stands = first[group]
    moved = stands != np.arange(len(nodes))
    return nodes[moved], nodes[stands[moved]], ~is_parent[moved]


def _directed(pairs: DataFrame, *, number: int) -> DataFrame:
    """The pairs (node, label) directed by the order of a round: another one each time, so that no order of the nodes is a bad one."""

    def rank(name: str) -> Column:
        return F.struct(F.xxhash64(F.col(name), F.lit(number)), F.col(name))

    is_child = rank("node") > rank("label")
    return pairs.select(F.when(is_child, F.col("node")).otherwise(F.col("label")).alias("child"), F.when(is_child, F.col("label")).otherwise(F.col("node")).alias("parent"))


def _unrolled(levels: list[DataFrame], nobody: DataFrame) -> Components:
    """What the labels of each round stand for in the end, the last round first."""
    if not levels:
        return Components(nobody, nobody, 0)
    *others, last = levels
    known, parents = last.select(*LABELS.names), last.filter("NOT is_leaf").select(*LABELS.names)
    for number, level in reversed(list(enumerate(others))):
        parents = known
        known = _final(level.filter("is_leaf"), known).union(known)
        known = cut(known) if number else known
    return Components(known, parents, len(levels))


def _final(level: DataFrame, known: DataFrame) -> DataFrame:
    later = known.toDF("later_node", "later_label")
    return level.join(later, on=F.col("label") == F.col("later_node"), how="left").select("node", F.coalesce("later_label", "label").alias("label"))
