"""Alerts of data health in ops/alerts, beside those of breakers: one when an anomaly begins, one when a promise of freshness is broken. following.py calls it."""

import json
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from millrace.tables.catalogue import HEALTH, OPS_ALERTS
from millrace.tables.delta import TenantTables
from millrace.times import instant_of
from serving.data_health.measures import RECEIVED

log = logging.getLogger(__name__)
APP_ID = "data_health"
NEWS_S = 86_400
"""An anomaly of a window that ended longer ago is history: it is in its table, and nobody is told."""
FRESHNESS_KIND = "freshness"


def tell_anomalies(tables: TenantTables, rows: Sequence[dict[str, Any]], *, now: int) -> None:
    """Appends an alert for each anomaly that begins in these windows, once however often it is called with them."""
    if not rows:
        return
    received = {(row["window"], row["source"]): json.loads(row["details"]) for row in rows if row["measure"] == RECEIVED}
    alerts = [
        _alert(row["source"], row["measure"], row, received.get((row["window"], row["source"]), {}), instant_of(now))
        for row in rows
        if row["anomaly_since"] is not None and row["anomaly_since"] == row["window_start"] and row["window"] >= now // 1_000_000 - NEWS_S
    ]
    if alerts:
        tables.create(OPS_ALERTS)
        tables.append(OPS_ALERTS, pa.Table.from_pylist(alerts, schema=OPS_ALERTS.schema), app_id=APP_ID, epoch=max(row["window"] for row in rows))
        log.warning("anomalies began count=%d", len(alerts))


def tell_untold(tables: TenantTables, *, now: int) -> None:
    """What a process that died between an anomaly and its alert left untold."""
    found = tables.open(OPS_ALERTS)
    told = (found.transaction_version(APP_ID) or 0) if found else 0
    since = max(told, now // 1_000_000 - NEWS_S - 1)
    tell_anomalies(tables, tables.read(HEALTH, where=pc.field("window") > since).to_pylist(), now=now)


def tell_breach(tables: TenantTables, source: str, row: dict[str, Any], *, head: int) -> None:
    """Appends the alert of a promise that is broken, once."""
    tables.create(OPS_ALERTS)
    alert = {
        "raised_at": row["noted_at"], "source": source, "kind": FRESHNESS_KIND, "action": "flag", "epoch": head, "received": 0, "rejected": 0,
        "since": row["since"], "reasons": "{}", "sentence": row["sentence"],
    }  # fmt: skip
    number = int(row["since"].timestamp() * 1_000)
    tables.append(OPS_ALERTS, pa.Table.from_pylist([alert], schema=OPS_ALERTS.schema), app_id=f"{FRESHNESS_KIND}-{source}", epoch=number)
    log.warning("promise of freshness broken source=%s", source)


def _alert(source: str, kind: str, row: dict[str, Any], counts: dict[str, Any], now: datetime) -> dict[str, Any]:
    received = sum(counts.get(name, 0) for name in ("accepted", "duplicate", "rejected"))
    rejected = counts.get("rejected", 0)
    return {
        "raised_at": now, "source": source, "kind": kind, "action": "flag", "until": None, "epoch": row["head"], "received": received, "rejected": rejected,
        "share": rejected / received if received else None, "since": row["window_start"], "reasons": "{}", "sentence": row["sentence"],
    }  # fmt: skip
