"""Entity frames: whatever rows somebody wants features for in, the same rows with the question each of them asks out. historical.py calls ``asking_of``."""

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, TimestampType

from batch.features.knowledge import PLACE, Knowledge
from batch.spark_engine import ddl
from millrace.errors import ConfigurationError
from millrace.identity.nodes import node_of_key

WHO = ("key", "node", "person_id")
"""Columns by which a frame may say who a row is about: ``namespace:value`` in clear, a node of the tables, or an id that a person has or had."""
ASKS = "asks_what"
"""The column that holds the question, a struct of ``persons_then.ASKED``."""


def check_frame(frame: DataFrame, added: Sequence[str]) -> str:
    """Which of ``WHO`` the frame has; ConfigurationError with everything that is wrong with it."""
    types = {field.name: field.dataType for field in frame.schema}
    who = [name for name in WHO if name in types]
    problems = [] if len(who) == 1 else [f"the entity frame has {' and '.join(who) or 'none'} of the columns {', '.join(WHO)}; exactly one of them says who a row is about"]
    problems += [f"column {name} is {types[name].simpleString()}; it must be string" for name in who if not isinstance(types[name], StringType)]
    if "at" not in types:
        problems.append("the entity frame has no column at; it is the instant the features are for, a timestamp")
    times = [name for name in ("at", "known_at") if name in types and not isinstance(types[name], TimestampType)]
    problems += [f"column {name} is {types[name].simpleString()}; it must be timestamp, an instant in UTC" for name in times]
    problems += [f"the entity frame has a column {name} already, which is to be added; rename it" for name in added if name in types]
    if problems:
        raise ConfigurationError(problems)
    return who[0]


def asking_of(frame: DataFrame, who: str, knowledge: Knowledge, *, secret: bytes, nodes: Callable[[], DataFrame]) -> DataFrame:
    """The frame with ``ASKS``. ``nodes``: all there are, one a row, called where rows name persons: an id belongs to the node it was made of, whoever holds it later."""
    asked = F.col(who)
    if who == "person_id":
        named = nodes().select(F.concat(F.lit("p_"), F.substring(F.sha2("node", 256), 1, 24)).alias("person_id"), F.col("node").alias(ASKS))
        frame, asked = frame.join(named, on="person_id", how="left").select(*frame.columns, ASKS), F.col(ASKS)
    elif who == "key":
        asked = F.arrow_udf(_nodes_of(secret), "STRING")(asked)
    at = F.col("at")
    known_at = F.coalesce("known_at", at) if "known_at" in frame.columns else at
    place = F.arrow_udf(_placed(knowledge), ddl(PLACE))(at, known_at)
    question = F.struct(asked.alias("asked"), at.alias("at"), known_at.alias("known_at"), *(place[name].alias(name) for name in PLACE.names))
    return frame.select(*(F.col(f"`{name}`") for name in frame.columns if name != ASKS), question.alias(ASKS))


def field(name: str) -> Column:
    """A part of the question."""
    return F.col(ASKS)[name]


def _nodes_of(secret: bytes) -> Callable[[pa.Array], pa.Array]:
    def nodes(keys: pa.Array) -> pa.Array:
        encoded = keys.dictionary_encode()
        found = [None if key is None else node_of_key(key, secret) for key in encoded.dictionary.to_pylist()]
        return pa.array(found, pa.string()).take(encoded.indices)

    return nodes


def _placed(knowledge: Knowledge) -> Callable[[pa.Array, pa.Array], pa.Array]:
    def placed(at: pa.Array, known_at: pa.Array) -> pa.Array:
        times = [pc.fill_null(column.cast(pa.int64()), 0).to_numpy() for column in (at, known_at)]
        return knowledge.place(*times).to_struct_array().combine_chunks()

    return placed
