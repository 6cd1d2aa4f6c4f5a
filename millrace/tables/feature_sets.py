"""Training sets as tables: what a row stands on, and what is written down of each version. catalogue.py has them in its catalogue; batch/features/feature_sets.py writes them."""

import pyarrow as pa

from millrace.tables.column_types import TIME

FEATURE_SNAPSHOT = pa.schema(
    [
        ("snapshot_id", pa.string()), ("name", pa.string()), ("version", pa.int64()), ("made_at", TIME), ("rows", pa.int64()), ("features", pa.string()),
        ("definitions_hash", pa.string()), ("definitions", pa.string()), ("head", pa.int64()), ("decisions", pa.int64()),
    ]
)  # fmt: skip
"""One version of a feature set: what was asked of which definitions, at which point of the log."""
RECEIPT = pa.schema([("head", pa.int64()), ("decisions", pa.int64()), ("definitions_hash", pa.string()), ("snapshot_id", pa.string())])
"""Of each row of a feature set: the last epoch and the last decision that were known when it was, and the version it came with."""
