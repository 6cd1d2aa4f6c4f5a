"""What the API says of data health: the last final window of each source with its bands, open anomalies, freshness as of now. From the tables and the watch's own file."""

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import pyarrow.compute as pc

from millrace.tables.catalogue import HEALTH
from millrace.tables.delta import TenantTables
from millrace.times import MICROS, micros, time_text
from serving.data_health.measures import ANOMALY, EVERYBODY
from serving.data_health.progress import Progress, read_progress
from serving.store.commits import CommitLog

Row = Mapping[str, Any]
OTHERS = "(other)"


class DataHealth:
    """Follows the table; any thread may ask. CoverageError when a file of it is missing."""

    def __init__(self, tables: TenantTables) -> None:
        self._tables = tables
        self._log = CommitLog(tables, HEALTH, column="window")
        self._window = self._newest = 0
        self._rows: list[Row] = []
        self._lock = Lock()

    def answer(self, now: int) -> dict[str, Any]:
        """As of ``now`` (microseconds)."""
        rows, progress = self.rows(), read_progress(self._tables)
        sources = sorted({row["source"] for row in rows} | ({*progress.last, *progress.promises} if progress else set()))
        return {
            "as_of": time_text(now), "watched_at": progress and time_text(progress.seen_at), "head": progress.head if progress else 0,
            "problem": progress.problem if progress else "nobody has watched yet: start `python -m jobs.watch_data_health`",
            "window": _window(rows), "sources": [_source(name, [row for row in rows if row["source"] == name], progress, now) for name in sources],
        }  # fmt: skip

    def rows(self) -> list[Row]:
        """Rows of the last window that is final."""
        with self._lock:
            files = self._log.snapshot() if self._log.version < 0 else [file for commit in self._log.poll() for file in commit.added]
            self._newest = max([self._newest, *(file.last or 0 for file in files)])
            if self._newest > self._window:
                self._rows = self._tables.read(HEALTH, where=pc.field("window") == self._newest).to_pylist()
                self._window = self._newest
            return self._rows

    def open_anomalies(self) -> dict[tuple[str, str], int]:
        """How many there are by source and measure, 0 where there is none."""
        found: dict[tuple[str, str], int] = {}
        for row in self.rows():
            key = row["source"], row["measure"]
            found[key] = found.get(key, 0) + (row["state"] == ANOMALY)
        return found

    def progress(self) -> Progress | None:
        return read_progress(self._tables)


def _window(rows: Sequence[Row]) -> dict[str, str] | None:
    return {"start": time_text(micros(rows[0]["window_start"])), "end": time_text(micros(rows[0]["window_end"]))} if rows else None


def _source(name: str, rows: Sequence[Row], progress: Progress | None, now: int) -> dict[str, Any]:
    ordered = sorted(rows, key=lambda row: (row["measure"], row["about"] or ""))
    return {
        "source": name, "freshness": _freshness(name, progress, now), "anomalies": [_anomaly(row) for row in ordered if row["state"] == ANOMALY],
        "measures": [_measure(row) for row in ordered],
    }  # fmt: skip


def _freshness(name: str, progress: Progress | None, now: int) -> dict[str, Any] | None:
    """Of the tenant as a whole none: promises are of sources."""
    if progress is None or name == EVERYBODY:
        return None
    last, breached = progress.last.get(name), progress.breached.get(name)
    return {
        "last_received_at": None if last is None else time_text(last), "age_seconds": None if last is None else max(now - last, 0) // MICROS,
        "promise_seconds": progress.promises.get(name), "breached_since": None if breached is None else time_text(breached),
    }  # fmt: skip


def _measure(row: Row) -> dict[str, Any]:
    names = ("measure", "about", "observed", "expected_low", "expected_high", "records", "state", "learned_windows", "learned_by")
    return {name: row[name] for name in names}


def _anomaly(row: Row) -> dict[str, Any]:
    names = ("measure", "about", "observed", "expected_low", "expected_high", "sentence")
    return {name: row[name] for name in names} | {"since": time_text(micros(row["anomaly_since"]))}
