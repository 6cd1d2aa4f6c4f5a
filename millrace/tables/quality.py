"""Rows that say something about the quality of what comes in: plans, replays, alerts. catalogue.py names their tables."""

import pyarrow as pa

from millrace.tables.column_types import TIME

PLAN = pa.schema([("plan_hash", pa.string()), ("recorded_at", TIME), ("definitions", pa.string())])
"""A tracking plan that epochs were judged by (with the modes of sources): whoever judges their records again by it finds the same."""

REPLAY = pa.schema(
    [("topic", pa.string()), ("partition", pa.int32()), ("offset", pa.int64()), ("replayed_at", TIME), ("message_id", pa.string()), ("is_repaired", pa.bool_()), ("run_id", pa.string())]
)
"""A rejected record that was sent through the topic again, and under which message id."""

ALERT = pa.schema(
    [
        ("raised_at", TIME), ("source", pa.string()), ("kind", pa.string()), ("action", pa.string()), ("until", TIME), ("epoch", pa.int64()),
        ("received", pa.int64()), ("rejected", pa.int64()), ("share", pa.float64()), ("since", TIME), ("reasons", pa.string()),
        ("sentence", pa.string()),
    ]
)  # fmt: skip
"""A source went over a limit of its breaker, left an expected band, or broke its promise of freshness. ``action``: pause (the collector refuses it ``until``) or flag;
``reasons``: JSON of rejects by reason."""
