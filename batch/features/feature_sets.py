"""Training sets as versioned Delta tables: an entity frame and features in; a new version of ``ml/feature_sets/<name>`` with receipts, and a row that says what it is, out.

jobs/snapshot_features.py calls it. The row in ``ml/feature_snapshots`` is written last: a version without one was never finished.
"""

import json
import logging
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema

from batch.features.historical import historical
from millrace.definitions import Definitions
from millrace.errors import ConfigurationError
from millrace.features import chosen_features
from millrace.settings import DEFAULTS, BatchSettings
from millrace.tables.catalogue import FEATURE_SNAPSHOTS, feature_set_table
from millrace.tables.delta import TenantTables
from millrace.tables.feature_sets import FEATURE_SNAPSHOT
from millrace.traits.views import NAME

log = logging.getLogger(__name__)


def write_feature_set(
    tables: TenantTables, definitions: Definitions, entity_frame: DataFrame, *, name: str, features: Sequence[str], settings: BatchSettings = DEFAULTS.batch
) -> dict[str, int]:  # fmt: skip
    """Writes a new version of the set; its rows and version. Older versions stay readable. Instead of a ``key`` in clear the set has the ``node``."""
    if not NAME.match(name):
        raise ConfigurationError(f"feature set {name!r} is not a name: lower-case letters, digits and _, starting with a letter")
    chosen = chosen_features(features, definitions.views)
    asking = historical(entity_frame.sparkSession, tables, definitions, settings=settings)
    snapshot_id, made_at = uuid.uuid4().hex, datetime.now(UTC)
    found = asking.features(entity_frame, chosen, receipt={"definitions_hash": definitions.hash, "snapshot_id": snapshot_id})
    table = feature_set_table(name, to_arrow_schema(found.schema, timezone="UTC"))
    tables.create(table)
    found.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(tables.path(table))
    written = DeltaTable(tables.path(table))
    row = {
        "snapshot_id": snapshot_id, "name": name, "version": written.version(), "made_at": made_at, "rows": written.count(), "features": json.dumps(list(features)),
        "definitions_hash": definitions.hash, "definitions": definitions.to_json(), "head": asking.log.ledger.head, "decisions": asking.knowledge.last_decision,
    }  # fmt: skip
    tables.add(FEATURE_SNAPSHOTS, pa.Table.from_pylist([row], schema=FEATURE_SNAPSHOT))
    log.info("feature set written name=%s version=%d rows=%d head=%d", name, row["version"], row["rows"], row["head"])
    return {"rows": written.count(), "version": written.version()}


def read_entities(spark: SparkSession, path: str) -> DataFrame:
    """An entity frame from a Delta table, or a file of Parquet or CSV with a header, of which ``at`` and ``known_at`` are read as times in UTC."""
    suffix = Path(path).suffix
    if suffix == ".csv":
        rows = spark.read.option("header", True).csv(path)
        return rows.select(*(F.to_timestamp(name).alias(name) if name in ("at", "known_at") else F.col(f"`{name}`") for name in rows.columns))
    if suffix not in (".parquet", ""):
        raise ConfigurationError(f"{path}: a file of entities ends with .parquet or .csv, a Delta table is a folder")
    return spark.read.format("parquet" if suffix else "delta").load(path)


