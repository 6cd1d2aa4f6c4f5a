"""The catalogue of Delta tables: names, schemas, properties, paths. The only module that knows them as text; every reader and writer asks it.

Schemas are Arrow (no JVM needed); Spark reads the same tables by path. Each table has one writing process (DESIGN section 5).
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pyarrow as pa

from millrace.tables.column_types import IDENTIFIER, NUMBER, POSITION, TIME, VIOLATIONS
from millrace.tables.expired import EXPIRED
from millrace.tables.feature_sets import FEATURE_SNAPSHOT
from millrace.tables.health import DATA_HEALTH, SOURCE_FRESHNESS
from millrace.tables.quality import ALERT, PLAN, REPLAY
from millrace.tables.segments import SEGMENT_CHANGE, SEGMENT_MEMBER, SEGMENT_SETTLEMENT, SEGMENT_THRESHOLD
from millrace.tables.sources import ENTITY, REFUSED_ROW, SOURCE_POSITION
from millrace.traits.states import State
from millrace.traits.traits import Trait
from millrace.traits.views import View

VALUE_TYPES = {"number": NUMBER, "string": pa.string(), "time": TIME}

_RECORD = [("shard", pa.string()), ("epoch", pa.int64()), ("topic", pa.string()), ("partition", pa.int32()), ("offset", pa.int64()), ("received_at", TIME)]

LOG_EVENTS = pa.schema(
    [
        *_RECORD, ("event_time", TIME), ("message_id", pa.string()), ("source", pa.string()), ("type", pa.string()), ("name", pa.string()),
        ("node", pa.string()), ("identifiers", pa.list_(IDENTIFIER)), ("dedup_key", pa.binary()), ("is_duplicate", pa.bool_()), ("payload", pa.string()),
        ("violations", VIOLATIONS),
    ]
)  # fmt: skip
"""One accepted Kafka record, duplicates included; ``is_duplicate`` is what the speed layer saw within its horizon. ``payload`` is the message as received."""

_REJECTED = [*((name, pa.string()) for name in ("source", "message_id", "reason", "digest")), ("payload", pa.binary()), ("replayed_at", TIME), ("violations", VIOLATIONS)]
LOG_REJECTED = pa.schema([*_RECORD, *_REJECTED])
"""One record that was not accepted: why, the sha256 of its bytes and the bytes."""

LOG_LEDGER = pa.schema(
    [
        ("shard", pa.string()), ("epoch", pa.int64()), ("topic", pa.string()), ("partition", pa.int32()),
        ("start_offset", pa.int64()), ("end_offset", pa.int64()), ("accepted", pa.int64()), ("rejected", pa.int64()), ("duplicate", pa.int64()),
        ("definitions_hash", pa.string()), ("received_until", TIME), ("committed_at", TIME),
        ("normaliser", pa.int64()), ("plan_hash", pa.string()), ("with_term", pa.int64()),
    ]
)  # fmt: skip
"""One (epoch, partition): offsets [start, end) and counts; received = accepted + rejected + duplicate. Written last: then the epoch exists."""

EDGES = pa.schema(
    [
        ("a", pa.string()), ("b", pa.string()), ("hint_a", pa.string()), ("hint_b", pa.string()),
        ("first_at", TIME), ("last_at", TIME), ("seen_count", pa.int64()), ("first_seen", POSITION),
    ]
)  # fmt: skip
"""Two nodes seen together (a ≤ b; a = b registers a lone node); ``first_seen`` is the log position of the first such event."""

SPEED_EDGES = pa.schema([("epoch", pa.int64()), *EDGES])

NODES = pa.schema([*((name, pa.string()) for name in ("node", "person_id", "component", "isolated", "hint")), ("first_seen", POSITION), ("linked", pa.int64())])
"""One node with its person as of the cut. ``isolated``: why it joins nobody (blocked, removed, crowded, shared). ``linked``: how many others it was seen with, where these are many. ``component``: the person its component is named after;
where no limit is broken a component is one person."""

REFUSED = pa.schema([("a", pa.string()), ("b", pa.string()), ("reason", pa.string())])
"""An edge that joins nobody, and why: blocked, removed, crowded, shared, unique, limit or parted. Every other edge is accepted."""

DECISION = pa.schema(
    [
        ("decision_id", pa.int64()), ("decided_at", TIME), ("kind", pa.string()), ("a", pa.string()), ("b", pa.string()), ("hint_a", pa.string()),
        ("hint_b", pa.string()), ("withdraws", pa.int64()), ("reason", pa.string()), ("decided_by", pa.string()),
    ]
)  # fmt: skip
"""What somebody decided about two nodes (join, part), one node (remove) or an earlier decision (withdraw). The newest about a pair counts."""

LINK_MODEL = pa.schema(
    [("model_version", pa.string()), ("trained_at", TIME), ("manifest_id", pa.int64()), ("persons", pa.int64()), ("attributes", pa.string()), ("model", pa.string())]
)
"""One training of the linkage: probabilities of levels by attribute, no value of anybody. The newest for the declared attributes scores until trained again."""

LINK_CANDIDATE = pa.schema(
    [
        ("a", pa.string()), ("b", pa.string()), ("person_a", pa.string()), ("person_b", pa.string()), ("probability", pa.float64()), ("verdict", pa.string()),
        ("reason", pa.string()), ("evidence", pa.string()), ("model_version", pa.string()), ("manifest_id", pa.int64()), ("scored_at", TIME),
    ]
)  # fmt: skip
"""Two persons who may be one, each by the node he is named after (a < b). ``verdict``: accepted, review, rejected or undecided. It joins nobody by itself."""

CHANGES = pa.schema(
    [
        ("manifest_id", pa.int64()), ("compared_to", pa.int64()), ("cut_before", pa.int64()), ("cut", pa.int64()), ("cause", pa.string()),
        ("node", pa.string()), ("change", pa.string()), ("person_before", pa.string()), ("person_after", pa.string()),
        ("isolated_before", pa.string()), ("isolated_after", pa.string()),
    ]
)  # fmt: skip
"""A node that a publish puts to another person than the version served before, and why; a new one too. Rows of a manifest that does not exist do not count."""

MANIFEST = pa.schema(
    [
        ("manifest_id", pa.int64()), ("published_at", TIME), ("kind", pa.string()), ("cut", pa.int64()), ("offsets", pa.string()), ("tables", pa.string()),
        ("definitions_hash", pa.string()), ("definitions", pa.string()), ("proof", pa.string()), ("rolled_back_to", pa.int64()), ("decisions", pa.int64()),
    ]
)  # fmt: skip
"""One publish of all views at once. ``kind``: incremental, full or rollback; ``tables``: JSON of Delta versions by table; ``proof``: JSON of its figures."""

RUNS = pa.schema(
    [
        ("run_id", pa.string()), ("job", pa.string()), ("request_id", pa.string()), ("started_at", TIME), ("ended_at", TIME),
        ("status", pa.string()), ("exit_code", pa.int32()), ("counts", pa.string()), ("error", pa.string()),
    ]
)  # fmt: skip
"""One run of a job: what it did, with counts as JSON, and how it ended."""

REQUESTS = pa.schema([("request_id", pa.string()), ("requested_at", TIME), ("action", pa.string()), ("arguments", pa.string())])
"""One thing asked of the batch layer over the API: build or rollback, arguments as JSON. Answered by a run with the same request_id."""


@dataclass(frozen=True)
class Table:
    """A Delta table of the catalogue. ``statistics``: columns with min/max in the Delta log (never personal data); ``hot``: small frequent commits;
    ``brief``: rows that go when a batch has them; ``kept``: every version stays readable."""

    name: str
    schema: pa.Schema
    statistics: tuple[str, ...]
    hot: bool = False
    brief: bool = False
    kept: bool = False

    @property
    def properties(self) -> dict[str, str]:
        found = {"delta.dataSkippingStatsColumns": ",".join(self.statistics), "delta.minReaderVersion": "1", "delta.minWriterVersion": "2"}
        found["delta.checkpointInterval"] = "100" if self.hot else "10"
        return found | ({"delta.logRetentionDuration": "interval 36500 days"} if self.kept else {})


EVENTS = Table("log/events", LOG_EVENTS, ("epoch", "partition", "offset", "received_at", "event_time"), hot=True)
REJECTED = Table("log/rejected", LOG_REJECTED, ("epoch", "partition", "offset"), hot=True)
PLANS = Table("log/plans", PLAN, ("recorded_at",))
REPLAYS = Table("log/replays", REPLAY, ("replayed_at",))
LEDGER = Table("log/ledger", LOG_LEDGER, ("epoch", "partition"), hot=True)
SPEED_EDGES_TABLE = Table("speed/edges", SPEED_EDGES, ("epoch",), hot=True, brief=True)
BATCH_EDGES = Table("batch/edges", EDGES, ("first_at",))
BATCH_REFUSED = Table("batch/refused", REFUSED, ("reason",))
DECISIONS = Table("identity/decisions", DECISION, ("decision_id",))
BATCH_NODES = Table("batch/nodes", NODES, ("person_id",))
LINK_MODELS = Table("batch/link_models", LINK_MODEL, ("trained_at",))
LINK_CANDIDATES = Table("batch/link_candidates", LINK_CANDIDATE, ("probability", "verdict"))
IDENTITY_CHANGES = Table("batch/identity_changes", CHANGES, ("manifest_id",))
MANIFESTS = Table("batch/manifest", MANIFEST, ("manifest_id", "cut"))
SEGMENT_CHANGES = Table("serving/segment_changes", SEGMENT_CHANGE, ("batch", "at", "head"), hot=True)
SEGMENT_SETTLEMENTS = Table("serving/segment_settlements", SEGMENT_SETTLEMENT, ("manifest_id",))
SEGMENT_MEMBERS = Table("serving/segment_members", SEGMENT_MEMBER, ("segment", "person_id"))
SEGMENT_THRESHOLDS = Table("serving/segment_thresholds", SEGMENT_THRESHOLD, ("manifest_id",))
HEALTH = Table("serving/data_health", DATA_HEALTH, ("window", "window_end"), hot=True)
FRESHNESS = Table("serving/source_freshness", SOURCE_FRESHNESS, ("since",))
FEATURE_SNAPSHOTS = Table("ml/feature_snapshots", FEATURE_SNAPSHOT, ("made_at",))
OPS_RUNS = Table("ops/runs", RUNS, ("started_at",))
OPS_ALERTS = Table("ops/alerts", ALERT, ("raised_at",))
OPS_REQUESTS = Table("ops/requests", REQUESTS, ("requested_at",))
SOURCE_POSITIONS = Table("ops/source_positions", SOURCE_POSITION, ("number",))
EXPIRED_ROWS = Table("ops/expired", EXPIRED, ("expired_at",))
REFUSED_ROWS = Table("ops/source_rejected", REFUSED_ROW, ("rejected_at",))


def state_type(state: State) -> pa.DataType:
    return _type_of(state.kind, state.value_type)


@cache
def _type_of(kind: str, value_type: str) -> pa.DataType:
    value = VALUE_TYPES[value_type]
    if kind in ("first", "last"):
        return pa.struct([("at", TIME), ("partition", pa.int32()), ("offset", pa.int64()), ("value", value)])
    if kind == "squares":
        return pa.struct([("high", NUMBER), ("middle", NUMBER), ("low", NUMBER)])
    if kind in ("counts", "spread"):
        return pa.list_(counted_value(value))
    plain = {"count": pa.int64(), "sum": NUMBER, "distinct": pa.binary(), "times": pa.list_(TIME), "days": pa.list_(pa.int32())}
    return plain.get(kind, value)


DERIVED_TYPES = {
    "integer": pa.int64(), "number": NUMBER, "text": pa.string(), "time": TIME, "boolean": pa.bool_(), "list": pa.list_(pa.string()), "times": pa.list_(TIME),
}  # fmt: skip
"""Types of derived traits in ``serving/profiles``."""


def counted_value(value: pa.DataType) -> pa.DataType:
    """A value and how many events had it."""
    return pa.struct([("value", value), ("count", pa.int64())])


def trait_type(trait: Trait) -> pa.DataType:
    """Type of a finished trait in ``serving/profiles``."""
    value = VALUE_TYPES[trait.resolved_type]
    plain = {"integer": pa.int64(), "number": NUMBER, "boolean": pa.bool_(), "times": pa.list_(TIME), "list": pa.list_(value), "counts": pa.list_(counted_value(value))}
    return plain.get(trait.answers, value)


def view_schema(view: View) -> pa.Schema:
    """Row of a view: key, hop (seconds, 0 for all time), start of the tile, one column a state (null is the zero)."""
    return pa.schema([("key", pa.string()), ("hop", pa.int32()), ("hop_start", TIME), *((state.name, state_type(state)) for state in view.states)])


def batch_view(name: str, view: View) -> Table:
    return Table(f"batch/{name}", view_schema(view), ("hop", "hop_start"))


def speed_view(name: str, view: View) -> Table:
    return Table(f"speed/{name}", pa.schema([("epoch", pa.int64()), *view_schema(view)]), ("epoch", "hop", "hop_start"), hot=True, brief=True)


def table_path(root: str | Path, tenant: str, table: Table | str) -> str:
    """Where a table of the tenant lives. A root with a scheme (s3://…) is kept as it is."""
    name = table if isinstance(table, str) else table.name
    return f"{str(root).rstrip('/')}/{tenant}/{name}"


def profiles_table(view: View) -> Table:
    """``serving/profiles``: one row a person with a typed column a trait; ``as_of`` and ``head`` say when the row was computed: nothing has changed it since."""
    return Table("serving/profiles", _finished([("person_id", pa.string()), ("identifier_count", pa.int64()), ("hints", pa.string())], view), ("person_id",))


def rows_table(name: str, view: View) -> Table:
    """``serving/views/…``: one row a key of a view of other keys than persons, a text column a part of the key and a typed one a trait; the rest as in ``profiles_table``."""
    parts = view.keyed.names
    return Table(f"serving/views/{name}", _finished([(part, pa.string()) for part in parts], view), parts[:1])


def _finished(first: list[tuple[str, pa.DataType]], view: View) -> pa.Schema:
    traits = [(name, trait_type(trait)) for name, trait in view.traits.items()] + [(one.name, DERIVED_TYPES[one.answers]) for one in view.compiled]
    receipt = [("as_of", TIME), ("manifest_id", pa.int64()), ("cut", pa.int64()), ("head", pa.int64()), ("definitions_hash", pa.string()), ("decisions", pa.int64())]
    return pa.schema([*first, *traits, *receipt])


def feature_set_table(name: str, columns: pa.Schema) -> Table:
    """A training set: whatever columns its entity frame had, and the features."""
    return Table(f"ml/feature_sets/{name}", columns, ("at",), kept=True)


def entity_table(name: str) -> Table:
    """What sources say of customers, products or whatever is declared: a row a version, with the time it held."""
    return Table(f"entities/{name}", ENTITY, ("valid_from", "is_current"))
