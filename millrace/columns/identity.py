"""Identifiers as Spark columns: tokens, hints, edges. Agrees with millrace/identity.py on every input (tests/columns/test_identity.py)."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.identity import NAMESPACES, TOKEN_LENGTH, WHITESPACE

UPPER, LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
_BLOCK = 64


def normal_value(namespace: str, value: Column) -> Column:
    """The value as it is hashed (see identity.normalise); null when nothing is left."""
    trimmed = F.btrim(value, F.lit(WHITESPACE))
    if namespace == "email":
        normal = F.translate(trimmed, UPPER, LOWER)
    elif namespace == "phone":
        digits = F.regexp_replace(trimmed, "[^0-9]", "")
        normal = F.when(trimmed.startswith("+") & (digits != ""), F.concat(F.lit("+"), digits)).otherwise(digits)
    else:
        normal = trimmed
    return F.nullif(normal, F.lit(""))


def node_of(namespace: str, normal: Column, secret: bytes) -> Column:
    """``namespace:token`` of a normalised value. HMAC-SHA256 from Spark's own sha2 and two precomputed pads (RFC 2104): no UDF."""
    key = secret.ljust(_BLOCK, b"\0")
    inner = F.concat(F.lit(bytearray(b ^ 0x36 for b in key)), F.lit(bytearray(f"{namespace}\0".encode())), normal.cast("binary"))
    outer = F.concat(F.lit(bytearray(b ^ 0x5C for b in key)), F.unhex(F.sha2(inner, 256)))
    return F.concat(F.lit(f"{namespace}:"), F.substring(F.sha2(outer, 256), 1, TOKEN_LENGTH))


def hint_of(namespace: str, normal: Column) -> Column:
    """What an answer shows of an identifier: enough to recognise one's own, too little to learn another's."""
    if namespace == "email":
        return F.regexp_replace(normal, "^(.)[^@]*(@.*)?$", "$1•••$2")
    if namespace == "phone":
        return F.concat(F.lit("•••"), F.right(normal, F.lit(2)))
    return F.when(F.length(normal) >= 8, F.concat(F.left(normal, F.lit(2)), F.lit("•••"), F.right(normal, F.lit(2)))).otherwise(F.lit("•••"))


def identifiers(values: dict[str, list[Column]], secret: bytes) -> Column:
    """ARRAY<STRUCT<node, hint>> of an event, highest priority first, without the absent ones. ``values``: columns by namespace."""
    found = []
    for namespace in NAMESPACES:
        for value in values.get(namespace, []):
            normal = normal_value(namespace, value)
            entry = F.struct(node_of(namespace, normal, secret).alias("node"), hint_of(namespace, normal).alias("hint"))
            found.append(F.when(normal.isNotNull(), entry))
    return F.array_distinct(F.filter(F.array(*found), lambda entry: entry.isNotNull()))


def edges_of(events: DataFrame) -> DataFrame:
    """Edges of counted events, one row per pair (a ≤ b): owner with each other identifier; the self-edge of a lone one, so that every node has a row.

    In: node, identifiers, event_time, epoch, partition, offset. Out: a, b, hint_a, hint_b, first_at, last_at, seen_count and ``first_seen``,
    the log position (epoch, partition, offset) of the first event that shows the pair.
    """
    others = F.filter("identifiers", lambda entry: entry["node"] != F.col("node"))
    ends = F.when(F.size(others) > 0, others).otherwise(F.slice("identifiers", 1, 1))
    pairs = events.select(
        F.col("identifiers")[0].alias("owner"), F.explode(ends).alias("other"), "event_time",
        F.struct("epoch", "partition", "offset").alias("position"),
    )  # fmt: skip
    owner_first = F.col("owner.node") <= F.col("other.node")
    ordered = pairs.select(
        F.when(owner_first, F.col("owner")).otherwise(F.col("other")).alias("left"),
        F.when(owner_first, F.col("other")).otherwise(F.col("owner")).alias("right"),
        "event_time", "position",
    )  # fmt: skip
    return merge_edges(
        ordered.select(
            F.col("left.node").alias("a"), F.col("right.node").alias("b"),
            F.col("left.hint").alias("hint_a"), F.col("right.hint").alias("hint_b"),
            F.col("event_time").alias("first_at"), F.col("event_time").alias("last_at"),
            F.lit(1).cast("bigint").alias("seen_count"), F.col("position").alias("first_seen"),
        )
    )  # fmt: skip


def merge_edges(edges: DataFrame) -> DataFrame:
    """One row per pair from any number of partial rows."""
    return edges.groupBy("a", "b").agg(
        F.min("hint_a").alias("hint_a"), F.min("hint_b").alias("hint_b"),
        F.min("first_at").alias("first_at"), F.max("last_at").alias("last_at"),
        F.sum("seen_count").alias("seen_count"), F.min("first_seen").alias("first_seen"),
    )  # fmt: skip
