"""Rows about memberships of segments. catalogue.py names their tables."""

import pyarrow as pa

from millrace.tables.column_types import NUMBER, TIME

SEGMENT_CHANGE = pa.schema(
    [
        ("batch", pa.int64()), ("number", pa.int32()), ("change_id", pa.string()), ("segment", pa.string()), ("person_id", pa.string()), ("change", pa.string()), ("at", TIME),
        ("seen_at", TIME), ("because", pa.string()), ("head", pa.int64()), ("manifest_id", pa.int64()), ("decisions", pa.int64()), ("definitions_hash", pa.string()),
    ]
)  # fmt: skip
"""A person entered or left a segment: when it became true (``at``) and when it was noticed (``seen_at``)."""

SEGMENT_SETTLEMENT = pa.schema(
    [
        ("manifest_id", pa.int64()), ("segment", pa.string()), ("head", pa.int64()), ("persons", pa.int64()), ("members", pa.int64()),
        ("missing", pa.int64()), ("extra", pa.int64()), ("settled_at", TIME), ("definitions_hash", pa.string()), ("unchanged", pa.int64()),
    ]
)  # fmt: skip
"""What memberships of a segment, worked out again from a new batch version, were beside those held: ``missing`` and ``extra`` are 0 where nothing was wrong."""

SEGMENT_MEMBER = pa.schema(
    [
        ("segment", pa.string()), ("person_id", pa.string()), ("as_of", TIME), ("manifest_id", pa.int64()), ("cut", pa.int64()), ("head", pa.int64()),
        ("decisions", pa.int64()), ("definitions_hash", pa.string()), ("segments_hash", pa.string()),
    ]
)  # fmt: skip
"""A person who belongs to a segment, by the rows of serving/profiles at ``as_of``."""

SEGMENT_THRESHOLD = pa.schema(
    [
        ("trait", pa.string()), ("comparison", pa.string()), ("share", NUMBER), ("threshold", NUMBER), ("known_count", pa.int64()),
        ("as_of", TIME), ("manifest_id", pa.int64()), ("head", pa.int64()), ("definitions_hash", pa.string()),
    ]
)  # fmt: skip
"""What a ``percentile`` in a rule means from one batch version to the next."""
