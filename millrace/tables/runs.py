"""Run records: what each run of a job did and how it ended, as a JSON line on stderr and a row of ops/runs. Jobs and the batch runner wrap their work in one."""

import json
import logging
import sys
import uuid
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import pyarrow as pa
from deltalake.exceptions import DeltaError

from millrace.errors import MillraceError, NothingToDo
from millrace.tables.catalogue import OPS_RUNS, RUNS
from millrace.tables.delta import TenantTables

log = logging.getLogger(__name__)


class RunRecord:
    """Context of one run. ``counts`` takes its figures. Status: ok, nothing_to_do, failed (with the error's class, never its data, for unexpected ones)."""

    def __init__(self, tables: TenantTables, job: str, *, request_id: str | None = None) -> None:
        self._tables, self._job, self._request_id = tables, job, request_id
        self.run_id = uuid.uuid4().hex
        self.counts: dict[str, Any] = {}

    def __enter__(self) -> "RunRecord":
        self._started = datetime.now(UTC)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        status, code = _outcome(error)
        text = str(error) if isinstance(error, MillraceError) else kind.__name__ if kind and code else None
        row = {
            "run_id": self.run_id, "job": self._job, "request_id": self._request_id, "started_at": self._started, "ended_at": datetime.now(UTC),
            "status": status, "exit_code": code, "counts": json.dumps(self.counts, default=str), "error": text,
        }  # fmt: skip
        sys.stderr.write(json.dumps(row, default=str) + "\n")
        try:
            self._tables.add(OPS_RUNS, pa.Table.from_pylist([row], schema=RUNS))
        except (OSError, DeltaError) as failure:  # what the run did, or why it failed, matters more than its record
            log.error("run record not written run_id=%s error=%s", self.run_id, failure)


def _outcome(error: BaseException | None) -> tuple[str, int]:
    if error is None or (isinstance(error, SystemExit) and not error.code) or isinstance(error, KeyboardInterrupt):
        return "ok", 0
    if isinstance(error, NothingToDo):
        return "nothing_to_do", error.exit_code
    return "failed", error.exit_code if isinstance(error, MillraceError) else 1
