"""Identifiers as Spark columns: tokens, hints, edges. Agrees with millrace/identity.py on every input (tests/columns/test_identity.py)."""

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace import edges
from millrace.identifiers import hint_column, node_column
from millrace.identity import TOKEN_LENGTH, WHITESPACE

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
        return F.regexp_replace(normal, "(?s)^(.)[^@]*(@.*)?\\z", "$1•••$2")
    if namespace == "phone":
        return F.concat(F.lit("•••"), F.right(normal, F.lit(2)))
    return F.when(F.length(normal) >= 8, F.concat(F.left(normal, F.lit(2)), F.lit("•••"), F.right(normal, F.lit(2)))).otherwise(F.lit("•••"))


def identifier_columns(normal: list[tuple[str, Column]], secret: bytes) -> list[Column]:
    """The flat columns of millrace/identifiers.py of an event from its normalised values, in the given order (highest priority first); null where one is absent.

    Flat columns: Spark builds and hands over a list of structs for three times their price. ``gather_identifiers`` makes the list.
    """
    nodes = [node_of(namespace, value, secret).alias(node_column(n)) for n, (namespace, value) in enumerate(normal)]
    hints = [hint_of(namespace, value).alias(hint_column(n)) for n, (namespace, value) in enumerate(normal)]
    return [*nodes, *hints]


def edges_of(events: DataFrame) -> DataFrame:
    """Edges of counted events, one row per pair. In: identifiers, event_time, epoch, partition, offset. See millrace/edges.py."""
    return merge_edges(partial_edges(events))


def partial_edges(events: DataFrame) -> DataFrame:
    """The same before the last merge: several rows of one pair may come, one from each slice of the frame."""
    ddl = (
        "a STRING, b STRING, hint_a STRING, hint_b STRING, first_at TIMESTAMP, last_at TIMESTAMP, seen_count BIGINT, "
        "first_seen STRUCT<epoch: BIGINT, partition: INT, offset: BIGINT>"
    )

    def slices(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from edges.edges_of(pa.Table.from_batches([batch])).to_batches()

    return events.select("identifiers", "event_time", "epoch", "partition", "offset").mapInArrow(slices, ddl)


def merge_edges(rows: DataFrame) -> DataFrame:
    """One row per pair from any number of partial rows."""
    return rows.groupBy("a", "b").agg(
        F.min("hint_a").alias("hint_a"), F.min("hint_b").alias("hint_b"),
        F.min("first_at").alias("first_at"), F.max("last_at").alias("last_at"),
        F.sum("seen_count").alias("seen_count"), F.min("first_seen").alias("first_seen"),
    )  # fmt: skip
