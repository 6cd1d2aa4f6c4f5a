"""Promises of freshness (``freshness`` of sources.yml): judged on the clock, by the time at which the broker received the last record of a source that is in the log.

A breach is a row of serving/source_freshness when it begins and one when it is over; both can be written again without harm.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from millrace.definitions import Definitions
from millrace.spans import span_text
from millrace.tables.catalogue import FRESHNESS
from millrace.tables.delta import TenantTables
from millrace.times import MICROS, instant_of, micros, time_text

Raise = Callable[[str, dict[str, Any]], None]
"""Told of a breach that begins: the source and its row."""


@dataclass
class Breach:
    """``since``: the last record before it, in microseconds; ``until``: the first one after."""

    since: int
    promise_s: float
    until: int | None = None


class Promises:
    """``last``: by source, when the broker received its newest record. ``began``: when the log began, for sources that have never sent anything."""

    def __init__(self, tables: TenantTables, last: Mapping[str, int]) -> None:
        tables.create(FRESHNESS)
        self.last = dict(last)
        self.breaches: dict[str, Breach] = {}
        self._tables = tables
        for row in tables.read(FRESHNESS).sort_by([("since", "ascending"), ("noted_at", "ascending")]).to_pylist():
            if row["until"] is None:
                self.breaches[row["source"]] = Breach(micros(row["since"]), row["promise_seconds"])
            else:
                self.breaches.pop(row["source"], None)

    def received(self, source: str, times: np.ndarray) -> None:
        """When records of a source were received (microseconds); those before a breach may come again."""
        self.last[source] = max(self.last.get(source, 0), int(times.max()))
        breach = self.breaches.get(source)
        if breach is not None and len(after := times[times > breach.since]):
            first = int(after.min())
            breach.until = first if breach.until is None else min(first, breach.until)

    def judge(self, definitions: Definitions, *, now: int, began: int, behind: int, tell: Raise) -> None:
        """Writes what has begun or ended. ``behind``: records the topic has and the log has not, which may be why; ``began`` 0: there is no log yet."""
        for source, breach in list(self.breaches.items()):
            if breach.until is not None:
                self._write(source, breach, now, f"{source} sends again, after {_span(breach.until - breach.since)}.", number=breach.since * 2 + 1)
                del self.breaches[source]
        for name, declared in sorted(definitions.sources.items()):
            since = self.last.get(name, began)
            if declared.freshness is None or not since or name in self.breaches or now - since <= declared.freshness * MICROS:
                continue
            breach = Breach(since, declared.freshness)
            row = self._write(name, breach, now, _sentence(name, breach, is_known=name in self.last, behind=behind), number=since * 2)
            tell(name, row)
            self.breaches[name] = breach

    def _write(self, source: str, breach: Breach, now: int, sentence: str, *, number: int) -> dict[str, Any]:
        row = {
            "source": source, "promise_seconds": breach.promise_s, "since": instant_of(breach.since), "breached_at": instant_of(breach.since + int(breach.promise_s * MICROS)),
            "until": None if breach.until is None else instant_of(breach.until), "noted_at": instant_of(now), "sentence": sentence,
        }  # fmt: skip
        self._tables.append(FRESHNESS, pa.Table.from_pylist([row], schema=FRESHNESS.schema), app_id=f"freshness-{source}", epoch=number)
        return row


def _sentence(source: str, breach: Breach, *, is_known: bool, behind: int) -> str:
    what = f"Nothing of {source} has been received since {time_text(breach.since // MICROS * MICROS)}" if is_known else f"{source} has never sent anything"
    why = f"; the topic holds {behind:,} records that the log has not, so the stream may be why" if behind else ""
    return f"{what}; within {span_text(breach.promise_s)} was promised{why}."


def _span(length: int) -> str:
    return span_text(max(1, round(length / MICROS)))
