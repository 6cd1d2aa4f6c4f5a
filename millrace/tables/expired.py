"""Rows of what was emptied because the term of its source was over. catalogue.py names the table, millrace/expiry.py writes it."""

import pyarrow as pa

from millrace.tables.column_types import TIME

EXPIRED = pa.schema(
    [
        ("run_id", pa.string()), ("expired_at", TIME), ("source", pa.string()), ("until", TIME), ("table", pa.string()), ("epoch", pa.int64()), ("topic", pa.string()),
        ("partition", pa.int32()), ("rows", pa.int64()), ("duplicates", pa.int64()),
    ]
)  # fmt: skip
"""Rows of one source in one epoch and partition of a table that are empty, or deleted, once this stands here: what began its term until ``until``."""
