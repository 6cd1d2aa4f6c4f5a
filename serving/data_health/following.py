"""Watches the health of what comes in: follows the ledger, counts the log in windows, judges those that are final and the promises of freshness. running.py runs it.

One thread, one round after another. All it must not lose stands in serving/data_health: a start reads history there, and the log again from the first epoch that has
something of a window which is not final. A window is in one commit, once (its end is the number of the Delta transaction), so a crash anywhere changes no row.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.definitions import Definitions
from millrace.faults import crash_point
from millrace.tables.catalogue import HEALTH, LEDGER
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import DEFAULT_SHARD
from millrace.times import MICROS, micros
from serving.data_health.alerts import tell_anomalies, tell_breach, tell_untold
from serving.data_health.counting import Counting, Tallies, called
from serving.data_health.freshness import Promises
from serving.data_health.history import read_history
from serving.data_health.judging import Row, Window, judge_window
from serving.data_health.measures import EVERYBODY, RECEIVED
from serving.data_health.placing import NEVER, Place, Placing
from serving.data_health.progress import Progress, tell_progress
from serving.data_health.reading import Part, next_part
from serving.data_health.tally import Tally
from serving.data_health.topic import Topic
from serving.store.ledger_tail import LedgerTail
from serving.tidying import Tidying

log = logging.getLogger(__name__)
APP_ID = "data_health"
TIDY_WINDOWS = 100
"""Windows, each a file, after which small files are folded together."""
AT_ONCE = 20_000
"""Rows of windows that are committed together, about."""


@dataclass
class HealthFollower:
    """``round`` again and again. ``length`` of a window in seconds; ``clock`` in microseconds. ``closed``: windows that became final since the start."""

    tables: TenantTables
    definitions: Callable[[], Definitions]
    topic: Topic
    clock: Callable[[], int]
    length: int
    closed: int = 0
    problem: str | None = field(default=None)

    def __post_init__(self) -> None:
        self.start_over()

    def start_over(self) -> None:
        """From what the tables hold."""
        self.tables.create(HEALTH)
        self._history, self._end = read_history(self.tables, length=self.length)
        self._placing = Placing()
        self._open: Tallies = {}
        self._counting: Counting | None = None
        self._counted_by: Definitions | None = None
        self._ledger = LedgerTail(self.tables)
        self._promises = Promises(self.tables, last_received(self.tables))
        self._tidying = Tidying(self.tables, HEALTH, every=TIDY_WINDOWS)
        self._taken: int | None = None
        tell_untold(self.tables, now=self.clock())

    @property
    def head(self) -> int:
        """The last epoch that is counted."""
        return self._taken or 0

    def round(self) -> bool:
        """One round; whether there is more to do at once. CoverageError when tables and ledger disagree."""
        complete, now = self.topic.complete(), self.clock()
        self._ledger.poll()
        self.problem = self._ledger.problem
        if self._taken is None:
            self._taken = self._ledger.first_received_since(self._since()) - 1
        part = next_part(self.tables, self._ledger, after=self._taken)
        if part is not None:
            self._take(part)
        is_behind = self._taken < self._ledger.head
        self._close(self._placing.final_until(self._ends(), complete))
        if not is_behind:
            self._judge_promises(complete, now)
        self._tell(now)
        return is_behind

    def fail(self, problem: str) -> None:
        """Tells why nothing is watched for the moment."""
        self.problem = problem
        self._tell(self.clock())

    def _ends(self) -> dict[Place, int]:
        """End offset of each partition at the last epoch that is counted."""
        if self._taken == self._ledger.head:
            return self._ledger.ends
        rows = self.tables.read(LEDGER, columns=["shard", "topic", "partition", "end_offset"], where=pc.field("epoch") == self._taken).to_pylist()
        return {(row["topic"], row["partition"]): row["end_offset"] for row in rows if row["shard"] == DEFAULT_SHARD}

    def _judge_promises(self, complete: Mapping[Place, tuple[int, int]], now: int) -> None:
        ends, head = self._ledger.ends, self.head
        behind = sum(max(wanted - ends.get(place, 0), 0) for place, (_, wanted) in complete.items())
        began = self._ledger.committed_at(1) if self._ledger.head else 0
        self._promises.judge(self.definitions(), now=now, began=began, behind=behind, tell=lambda source, row: tell_breach(self.tables, source, row, head=head))

    def _since(self) -> int:
        """Start of the first window that is not final, in microseconds."""
        return NEVER if self._end is None else self._end * MICROS

    def _take(self, part: Part) -> None:
        """Counts a part of the log in the windows that are open; records of windows that are final have been counted."""
        newest = self.definitions()
        if self._counting is None or newest is not self._counted_by:
            self._recount(newest)
        if self._counting is None:
            return
        places = ("topic", "partition", "offset", "epoch", "received_at")
        times = self._placing.times(pa.concat_tables([part.events.select(places), part.rejected.select(places)]), self._ledger.committed_at)
        events, rejected = np.split(times, [len(part.events)])
        for key, tally in self._counting.count(part.events, events, part.rejected, rejected, since=self._since()).items():
            self._open.setdefault(key, Tally()).merge(tally)
        for rows in (part.events, part.rejected):
            for source in pc.unique(rows["source"]).to_pylist():
                self._promises.received(called(source), rows.filter(pc.equal(rows["source"], source))["received_at"].cast(pa.int64()).to_numpy())
        self._taken = part.epoch
        log.info("counted epoch=%d records=%d windows=%d", part.epoch, len(times), len(self._open))

    def _recount(self, newest: Definitions) -> None:
        """Counts by these definitions from now on. Values of the windows that are open are counted under their number: those of other fields are dropped."""
        counting = Counting(newest, self.length * MICROS)
        if self._counting is not None and counting.fields != self._counting.fields:
            known = {one: number for number, one in enumerate(counting.fields)}
            for tally in self._open.values():
                tally.fields = {known[one]: tally.fields[number] for number, one in enumerate(self._counting.fields) if number in tally.fields and one in known}
        self._counting, self._counted_by = counting, newest

    def _close(self, final: int) -> None:
        """Judges every window that ends at ``final`` (microseconds) or before, in order, and commits them."""
        rows: list[Row] = []
        while (window := self._next(final)) is not None:
            tallies = {source: self._open.pop((start, source)) for start, source in list(self._open) if start == window.start * MICROS}
            rows += judge_window(window, tallies, self._history, self._counting.fields if self._counting else (), head=self.head)
            self._end = window.end
            self.closed += 1
            if len(rows) >= AT_ONCE:
                self._commit(rows)
                rows = []
        self._commit(rows)

    def _next(self, final: int) -> Window | None:
        """The first window that is not final by now and may be; windows without anything, of nobody who is remembered, are passed over."""
        first = min((start // MICROS for start, _ in self._open), default=None)
        start = first if self._end is None else self._end // self.length * self.length
        if start is not None and first != start and not self._history.sources(start):
            start = first
        if start is None or (start + self.length) * MICROS > final:
            return None
        return Window(max(start, self._end or start), start + self.length)

    def _commit(self, rows: list[Row]) -> None:
        if not rows:
            return
        crash_point("health.judged")
        last = max(row["window"] for row in rows)
        self.tables.append(HEALTH, pa.Table.from_pylist(rows, schema=HEALTH.schema), app_id=APP_ID, epoch=last)
        crash_point("health.appended")
        tell_anomalies(self.tables, rows, now=self.clock())
        anomalies = sum(row["anomaly_since"] is not None for row in rows)
        log.info("windows closed until=%d rows=%d anomalies=%d", last, len(rows), anomalies)
        self._tidying.after()

    def _tell(self, now: int) -> None:
        declared = {name: source.freshness for name, source in self.definitions().sources.items() if source.freshness is not None}
        breached = {name: breach.since for name, breach in self._promises.breaches.items()}
        tell_progress(self.tables, Progress(self.head, self._end, now, self._promises.last, breached, declared, self.problem))


def last_received(tables: TenantTables) -> dict[str, int]:
    """When each source was last received (microseconds), of all windows that are final."""
    rows = tables.read(HEALTH, columns=["window", "source", "details"], where=(pc.field("measure") == RECEIVED) & (pc.field("observed") > 0)).sort_by("window")
    told = {row["source"]: micros(datetime.fromisoformat(json.loads(row["details"])["last_received_at"])) for row in rows.to_pylist()}
    return {source: at for source, at in told.items() if source != EVERYBODY}
