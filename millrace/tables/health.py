"""Rows about the health of what comes in: measures in windows, promises of freshness. catalogue.py names their tables."""

import pyarrow as pa

from millrace.tables.column_types import TIME

DATA_HEALTH = pa.schema(
    [
        ("window", pa.int64()), ("source", pa.string()), ("measure", pa.string()), ("about", pa.string()), ("window_start", TIME), ("window_end", TIME),
        ("observed", pa.float64()), ("expected_low", pa.float64()), ("expected_high", pa.float64()), ("records", pa.int64()), ("state", pa.string()),
        ("anomaly_since", TIME), ("learned_windows", pa.int64()), ("learned_by", pa.string()), ("history_since", TIME), ("noise", pa.float64()),
        ("details", pa.string()), ("sentence", pa.string()), ("head", pa.int64()),
    ]
)  # fmt: skip
"""A measure of a source in a window that is final, and the band it was expected in. ``state``: learning, normal or anomaly."""

SOURCE_FRESHNESS = pa.schema(
    [
        ("source", pa.string()), ("promise_seconds", pa.float64()), ("since", TIME), ("breached_at", TIME), ("until", TIME), ("noted_at", TIME), ("sentence", pa.string()),
    ]
)  # fmt: skip
"""A source that broke its promise of freshness: a row when it did, and one with ``until`` when it was over."""
