"""The proof of persons found on executors: batch/edges, batch/nodes and batch/refused as written in, nothing out, or ProofError. batch/persons.py calls it."""

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from millrace.errors import ProofError
from millrace.tables.catalogue import BATCH_EDGES, BATCH_NODES, BATCH_REFUSED, Table
from millrace.tables.delta import TenantTables

SENT_ROWS = 1_000_000
"""Refused edges up to which they are sent to every worker: some 50 MB."""
_SEED = 7
"""Of the second hash."""


def prove_persons(session: SparkSession, tables: TenantTables, versions: dict[Table, int]) -> None:
    """ProofError unless every node of the edges is in batch/nodes, exactly once, and nobody else; and no edge that is not refused lies between two persons."""

    def rows(table: Table) -> DataFrame:
        return session.read.format("delta").option("versionAsOf", versions[table]).load(tables.path(table))

    found = rows(BATCH_EDGES), rows(BATCH_NODES), rows(BATCH_REFUSED)
    wrong = [] if all_fits(*found) else broken_invariants(*found)
    if wrong:
        raise ProofError(f"persons do not fit their edges, nothing was published: {'; '.join(wrong)}; report this as a defect, and build in the driver "
                         "(batch.identity_in_driver_edges) until it is mended")  # fmt: skip


def all_fits(edges: DataFrame, nodes: DataFrame, refused: DataFrame) -> bool:
    """Whether all invariants hold, through one shuffle of numbers. Each end of an edge that is not refused has a number made of the edge and of its person: the two are
    the same when it joins one person, so all of them together cancel out (exclusive or), and a single edge between two persons leaves 64 random bits. False also when
    an edge comes twice: then ``broken_invariants`` looks again, which takes three times as long."""
    a, b = F.col("a"), F.col("b")
    known = refused.select(F.xxhash64(a, b).alias("edge"), F.xxhash64(b, a).alias("turned")).distinct()
    known = F.broadcast(known) if refused.count() <= SENT_ROWS else known.hint("shuffle_hash")
    pairs = edges.select("a", "b", F.xxhash64(a, b).alias("edge"), F.xxhash64(b, a).alias("turned")).join(known.withColumn("is_refused", F.lit(True)), on=["edge", "turned"], how="left")
    joins = F.when(F.col("is_refused").isNull() & (a != b), F.col("edge")).alias("joins")
    ends = pairs.select(joins, F.explode(F.when(a == b, F.array(_hashed(a))).otherwise(F.array(_hashed(a), _hashed(b)))).alias("node")).select("joins", "node.high", "node.low")
    persons = nodes.select(_hashed(F.col("node")).alias("node"), F.xxhash64("person_id").alias("person")).select("node.high", "node.low", "person", F.lit(True).alias("is_seen"))
    met = ends.withColumn("is_end", F.lit(True)).join(persons.hint("shuffle_hash"), on=["high", "low"], how="full")
    figures = met.agg(
        F.count("is_end").alias("ends"), F.count(F.when(F.col("is_end").isNull() | F.col("is_seen").isNull(), True)).alias("alone"),
        F.bit_xor(F.when(F.col("joins").isNotNull(), F.xxhash64("joins", "person"))).alias("left"),
    ).first()  # fmt: skip
    expected = edges.agg(F.sum(F.when(a == b, 1).otherwise(2))).first()
    return figures is not None and expected is not None and (figures["ends"], figures["alone"], figures["left"] or 0) == (expected[0] or 0, 0, 0)


def broken_invariants(edges: DataFrame, nodes: DataFrame, refused: DataFrame) -> list[str]:
    """A sentence for each invariant that does not hold. Names are compared as two hashes of 64 bits, which take a third of their room. ``edges``: each once."""
    a, b = F.col("a"), F.col("b")
    known = refused.select("a", "b", F.lit(True).alias("is_refused")).distinct()
    pairs = edges.select("a", "b").join(known, on=["a", "b"], how="left")
    edge = F.struct(F.xxhash64(a, b).alias("one"), F.xxhash64(b, a).alias("other"), F.coalesce("is_refused", F.lit(False)).alias("is_refused"))
    ends = pairs.select(edge.alias("edge"), F.explode(F.when(a == b, F.array(_hashed(a))).otherwise(F.array(_hashed(a), _hashed(b)))).alias("node"), (a == b).alias("is_lone"))
    ends = ends.select("edge.*", "is_lone", F.col("node.high").alias("high"), F.col("node.low").alias("low"))
    persons = nodes.select(_hashed(F.col("node")).alias("node"), F.xxhash64("person_id").alias("person")).select("node.*", "person")
    met = ends.join(persons.hint("shuffle_hash"), on=["high", "low"], how="full")
    unseen = F.col("one").isNull()
    by_edge = met.groupBy("one", "other", "is_refused", "is_lone").agg(
        F.count(F.lit(1)).alias("rows"), F.count("person").alias("known"), F.min("person").alias("first"), F.max("person").alias("last")
    )
    figures = by_edge.select(
        F.sum(F.when(unseen, F.col("rows")).otherwise(0)).alias("unseen"),
        F.sum(F.when(unseen, 0).otherwise(F.col("rows") - F.col("known"))).alias("lost"),
        F.count(F.when(~unseen & (F.col("rows") != F.when(F.col("is_lone"), 1).otherwise(2)), True)).alias("twice"),
        F.count(F.when(~unseen & ~F.col("is_refused") & (F.col("first") != F.col("last")), True)).alias("between"),
    ).first()
    found = figures.asDict() if figures is not None else {}
    sentences = {
        "unseen": "{} nodes in batch/nodes that no edge shows", "lost": "{} ends of edges that are not in batch/nodes",
        "twice": "{} edges with a node that is in batch/nodes more than once", "between": "{} edges that join two persons and are not refused",
    }  # fmt: skip
    return [sentence.format(found[name]) for name, sentence in sentences.items() if found.get(name)]


def _hashed(node: Column) -> Column:
    return F.struct(F.xxhash64(node).alias("high"), F.xxhash64(node, F.lit(_SEED)).alias("low"))
