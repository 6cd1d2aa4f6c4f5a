"""Rows of what is pulled from sources: where a pull stands, rows that were not taken, versions of entities. catalogue.py names their tables."""

import pyarrow as pa

from millrace.tables.column_types import TIME

SOURCE_POSITION = pa.schema(
    [
        ("number", pa.int64()), ("source", pa.string()), ("part", pa.string()), ("position", pa.string()), ("as_of", TIME), ("columns", pa.string()),
        ("row_digests", pa.binary()), ("counts", pa.string()), ("noted_at", TIME), ("run_id", pa.string()),
    ]
)  # fmt: skip
"""How far a part of a source (a file, a table, a partition) has been read, noted after the target had it. The row with the largest ``number`` counts."""

REFUSED_ROW = pa.schema(
    [
        ("row_id", pa.string()), ("source", pa.string()), ("part", pa.string()), ("place", pa.int64()), ("reason", pa.string()), ("field", pa.string()),
        ("original", pa.string()), ("as_of", TIME), ("rejected_at", TIME), ("run_id", pa.string()),
    ]
)  # fmt: skip
"""A row of a source that was not taken: why, and as it was read."""

ENTITY = pa.schema(
    [
        ("key", pa.string()), ("attributes", pa.string()), ("valid_from", TIME), ("valid_to", TIME), ("is_current", pa.bool_()), ("deleted", pa.bool_()),
        ("source", pa.string()), ("run_id", pa.string()), ("change_id", pa.string()), ("sequence", pa.int64()), ("place", pa.int64()),
    ]
)  # fmt: skip
"""One statement of a source about an entity, and from when until when it held (slowly changing dimension, type 2)."""
