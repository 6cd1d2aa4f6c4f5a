"""From Kafka records to standard events: parse with an explicit schema, standardise, give each bad record its reason. The speed layer calls it.

In: records of the topic (key, value, topic, partition, offset, timestamp, headers). Out: one row per record, with ``reason`` null when accepted.
A session needs the settings of conf/spark-defaults.conf: keys that differ by their case, and no partial results of damaged JSON.
"""

from collections.abc import Iterable
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from millrace.columns.identity import identifier_columns, normal_value

TYPES = ("track", "identify", "page", "screen", "group", "alias")
FUTURE_LIMIT = "INTERVAL 24 HOURS"
CLAMP = "INTERVAL 5 MINUTES"
MAX_ID_LENGTH = 1_024
_ENVELOPE = ("type", "messageId", "userId", "anonymousId", "previousId", "event", "name", "timestamp")
_BODIES = {"properties": (), "traits": ("email", "phone"), "context": ("traits",)}
_JSON = {"mode": "PERMISSIVE", "allowSingleQuotes": "false", "allowNonNumericNumbers": "false"}
_HALF_PAIR = (
    r"(?<!\\)(?:\\\\)*+\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F])"  # after an even number of backslashes
)
_TIMESTAMP = r"^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?([Zz]|[+-]\d{2}(:?\d{2})?)?)?\z"


def message_schema(paths: Iterable[str]) -> str:
    """DDL of a list of messages: the envelope, and of each body the first-level keys that identity and the value ``paths`` need, as text."""
    keys = {body: list(always) for body, always in _BODIES.items()}
    for path in sorted(paths):
        body, _, rest = path.partition(".")
        if body in keys and (key := rest.partition(".")[0]) not in keys[body]:
            keys[body].append(key)
    return _list_of(f"{body}: STRUCT<{', '.join(f'`{key}`: STRING' for key in found or ['_'])}>" for body, found in keys.items())


def _list_of(bodies: Iterable[str]) -> str:
    return f"ARRAY<STRUCT<{', '.join([*(f'{field}: STRING' for field in _ENVELOPE), *bodies])}>>"


def parse_messages(text: Column, paths: Iterable[str]) -> Column:
    """The message as a struct; null where the text is not one JSON object to its last byte, or a body of it is no object."""
    return _only_item(_listed(text), _mark(text), message_schema(paths))


def _listed(text: Column) -> Column:
    """The text as the first of two items of a list, so that it has to be sound and nothing may follow it: ``from_json`` alone stops after the first value.
    The second item is a hash of the text, which the text cannot hold, so that none can close the list early and put an item of its own there."""
    return F.concat(F.lit("["), text, F.lit(',{"type":"'), _mark(text), F.lit('"}]'))


def _mark(text: Column) -> Column:
    return F.xxhash64(text).cast("string")


def _only_item(listed: Column, mark: Column, schema: str) -> Column:
    found = F.from_json(listed, schema, _JSON)
    return F.when((F.size(found) == 2) & (F.get(found, F.lit(1))["type"] == mark), F.get(found, F.lit(0)))


def value_at(path: str, message: str = "message") -> Column:
    """Text at a value path of a parsed message; null when absent. Keys below the first level are looked up in its JSON text."""
    body, _, rest = path.partition(".")
    key, _, deeper = rest.partition(".")
    found = F.col(f"{message}.{body}.`{key}`")
    return F.get_json_object(found, f"$.{deeper}") if deeper else found


def standardize_records(records: DataFrame, *, paths: Iterable[str], secret: bytes) -> DataFrame:
    """One standard row per record. Columns: partition, offset, received_at, event_time (clamped), message_id, source, type, name, nodes and hints of the
    identifiers (identity.identifier_columns), dedup_key (16 bytes of (source, message id)), message (parsed), payload (the bytes, as text also where they are none), reason (null when accepted).

    Each step names what the next one uses more than once: Spark would otherwise evaluate (and compile) it at every use.
    """
    text = F.col("value").cast("string")
    received = records.select(
        "partition", "offset", F.col("timestamp").alias("received_at"), text.alias("payload"), _listed(text).alias("listed"), _mark(text).alias("mark"),
        F.coalesce(_header("source"), F.lit("kafka")).alias("source"),
    )  # fmt: skip
    listed = F.when(F.col("listed").isNotNull(), F.col("listed"))  # used twice, so that Spark compiles what makes it apart from from_json, which it interprets
    message = _only_item(listed, F.col("mark"), message_schema(paths)).alias("message")
    parsed = received.select("partition", "offset", "received_at", "payload", "source", message)
    values = parsed.select(
        "*", F.col("message.type").alias("type"), F.nullif(F.col("message.messageId"), F.lit("")).alias("message_id"),
        F.when(F.col("message.type") == "track", F.col("message.event")).otherwise(F.col("message.name")).alias("name"),
        _claimed_time().alias("claimed_at"), *(value.alias(f"clear_{name}") for name, value in _identifier_values().items()),
    )  # fmt: skip
    normal = values.select("*", *(normal_value(namespace, F.col(f"clear_{name}")).alias(f"normal_{n}") for n, (name, namespace) in enumerate(_IDENTIFIERS)))
    return normal.select(
        "partition", "offset", "received_at", "source", "message_id", "type", "name", "message", "payload",
        *identifier_columns([(namespace, F.col(f"normal_{n}")) for n, (_, namespace) in enumerate(_IDENTIFIERS)], secret),
        F.least(F.col("claimed_at"), F.col("received_at") + F.expr(CLAMP)).alias("event_time"),
        F.unhex(F.md5(F.concat_ws("\0", F.col("source"), F.col("message_id")).cast("binary"))).alias("dedup_key"),
        _reason().alias("reason"),
    )  # fmt: skip


def _header(name: str) -> Column:
    """Text of the first header of this name. Mostly it is the first of all, and Spark searches an array many times slower than it looks at one place."""
    first = F.get("headers", F.lit(0))
    found = F.when(first["key"] == name, first["value"]).otherwise(F.get(F.filter("headers", lambda header: header["key"] == name), F.lit(0))["value"])
    return F.make_valid_utf8(found.cast("string"))


_IDENTIFIERS = (
    ("user_id", "user_id"),
    ("previous", "user_id"),
    ("email", "email"),
    ("phone", "phone"),
    ("anonymous_id", "anonymous_id"),
    ("previous", "anonymous_id"),
)
"""Value and namespace of each identifier, highest priority first. An alias' previousId may have been either kind of id, so it is a node of both."""


def _identifier_values() -> dict[str, Column]:
    """Clear identifiers of a message. E-mail and phone: traits of an identify call, otherwise the traits in its context."""
    context_traits, is_identify = F.col("message.context.traits"), F.col("message.type") == "identify"

    def trait(name: str) -> Column:
        in_context = F.when(context_traits.isNotNull(), F.get_json_object(context_traits, f"$.{name}"))
        return F.coalesce(F.when(is_identify, F.col(f"message.traits.{name}")), in_context)

    previous = F.when(F.col("message.type") == "alias", F.col("message.previousId"))
    return {
        "user_id": F.col("message.userId"),
        "previous": previous,
        "email": trait("email"),
        "phone": trait("phone"),
        "anonymous_id": F.col("message.anonymousId"),
    }


def _claimed_time() -> Column:
    """Time the message claims; received_at when it claims none; null when what it claims is not a time."""
    claimed = F.col("message.timestamp")
    spelled = F.translate(claimed, ",tz", ".TZ")
    with_seconds = F.regexp_replace(spelled, r"(\d{2}:\d{2})([Z+-])", "$1:00$2")  # Spark reads no zone after hours and minutes
    readable = F.when(claimed.rlike(_TIMESTAMP), F.coalesce(*(spelling.try_cast("timestamp") for spelling in (claimed, spelled, with_seconds))))
    return F.when(claimed.isNull(), F.col("received_at")).otherwise(readable)


def _reason() -> Column:
    """First thing wrong with a record, as a code of the table ``log/rejected``; null when it is accepted."""
    message, text = F.col("message"), F.col("payload")
    has_half_pair = F.when(text.contains("\\u"), text.rlike(_HALF_PAIR)).otherwise(F.lit(False))  # UTF-8 cannot hold half a surrogate pair
    ids = [message[field] for field in ("messageId", "userId", "anonymousId", "previousId")]
    too_long = reduce(or_, (F.coalesce((F.octet_length(value) > MAX_ID_LENGTH) & (F.length(value) > MAX_ID_LENGTH), F.lit(False)) for value in ids))
    claimed = F.col("claimed_at")
    out_of_range = (claimed < F.lit("1970-01-01 00:00:00").cast("timestamp")) | (claimed > F.col("received_at") + F.expr(FUTURE_LIMIT))
    return (
        F.when(text.isNull() | ~F.is_valid_utf8(text), "invalid_utf8")
        .when(has_half_pair, "malformed_json")
        .when(message.isNull(), F.when(_only_item(_listed(text), _mark(text), _list_of([])).isNull(), "malformed_json").otherwise("bad_properties"))
        .when(F.col("type").isNull(), "missing_type")
        .when(~F.col("type").isin(*TYPES), "unknown_type")
        .when(F.col("message_id").isNull(), "missing_message_id")
        .when(too_long, "identifier_too_long")
        .when(F.coalesce(*(F.col(f"normal_{n}") for n in range(len(_IDENTIFIERS)))).isNull(), "missing_identifier")
        .when((F.col("type") == "track") & (F.coalesce(F.col("name"), F.lit("")) == ""), "missing_event_name")
        .when(claimed.isNull(), "bad_timestamp")
        .when(out_of_range, "event_time_out_of_range")
    )
