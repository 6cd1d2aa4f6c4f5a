"""Sources that a breaker has paused (ops/alerts): their requests are answered with 503 until the pause is over. app.py puts it before the producer.

A paused source loses nothing: its clients keep what they have and send it again after Retry-After, when somebody has looked.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from millrace.definitions import Definitions
from millrace.errors import MillraceError
from millrace.tables.catalogue import OPS_ALERTS
from millrace.tables.delta import TenantTables
from serving.collector.figures import Figures
from serving.collector.publishing import Producer, Readiness, Record
from serving.collector.refusals import Refusal

log = logging.getLogger(__name__)

POLL_S = 2.0
LONGEST_RETRY_S = 60
"""What clients are told at most: a pause may end early."""


def now_utc() -> datetime:
    return datetime.now(UTC)


def pausing(producer: Producer, tables: TenantTables | None, definitions: Definitions, figures: Figures) -> Producer:
    """The producer behind the breakers that pause; itself where no source has one."""
    may_pause = any(source.breaker is not None and source.breaker.action == "pause" for source in definitions.sources.values())
    return PausingProducer(producer, tables, figures) if may_pause and tables is not None else producer


class PausingProducer:
    """See publishing.Producer. ``publish`` raises a Refusal for a source that is paused; nothing of the request is sent."""

    def __init__(self, producer: Producer, tables: TenantTables, figures: Figures, *, clock: Callable[[], datetime] = now_utc) -> None:
        self._producer, self._tables, self._figures, self._clock = producer, tables, figures, clock
        self._alerts: dict[str, dict[str, Any]] = {}
        self._version = -1
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await asyncio.to_thread(self.look)
        self._task = asyncio.create_task(self._follow())
        await self._producer.start()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._producer.close()

    def readiness(self) -> Readiness:
        return self._producer.readiness()

    def publish(self, records: Sequence[Record], source: str, stamps: Sequence[bytes] | None = None) -> asyncio.Future[None]:
        if (alert := self._alerts.get(source)) is not None:
            left_s = (alert["until"] - self._clock()).total_seconds()
            if left_s > 0:
                raise _paused(alert, left_s)
            del self._alerts[source]
        return self._producer.publish(records, source, stamps)

    def look(self) -> None:
        """Learns of alerts that were raised, or taken back by a person who deleted them. What cannot be read leaves things as they are."""
        try:
            found = self._tables.open(OPS_ALERTS)
            if found is None or found.version() == self._version:
                return
            rows = self._tables.read(OPS_ALERTS, where=pc.field("until") > pa.scalar(self._clock()), version=found.version())
        except (DeltaError, MillraceError, OSError) as error:
            log.warning("alerts not read error=%s", type(error).__name__)
            return
        self._alerts = {row["source"]: row for row in rows.sort_by("until").to_pylist()}
        self._version = found.version()
        self._figures.paused(self._alerts)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            await asyncio.to_thread(self.look)


def _paused(alert: dict[str, Any], left_s: float) -> Refusal:
    until = alert["until"].strftime("%Y-%m-%dT%H:%M:%SZ")
    return Refusal(
        503, "source_paused", "",
        f"found source {alert['source']} paused until {until}, because {alert['rejected']} of {alert['received']} of its records were rejected (log/rejected says why); "
        "correct what it sends, then send the same request again with the same messageIds after Retry-After seconds",
        retry_after_s=min(max(1, math.ceil(left_s)), LONGEST_RETRY_S),
    )  # fmt: skip
