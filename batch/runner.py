"""The batch layer inside a running driver: answers requests of the API and builds on a schedule. One thread; errors become failed runs, never end it."""

import json
import logging
import threading
import time
from typing import Any

import pyarrow.compute as pc
from pyspark.sql import SparkSession

from batch.build import build
from batch.profiles import publish_profiles
from batch.rollback import roll_back
from millrace.definitions import Definitions
from millrace.delta import TenantTables
from millrace.errors import ConfigurationError, MillraceError, NothingToDo
from millrace.manifest import Manifest
from millrace.runs import RunRecord
from millrace.tables import OPS_REQUESTS, OPS_RUNS

log = logging.getLogger(__name__)
POLL_S = 0.3


class BatchRunner:
    """Runs until told to stop. ``every`` seconds between scheduled incremental builds; 0 for none. The process holds the batch lease."""

    def __init__(self, spark: SparkSession, tables: TenantTables, definitions: Definitions, every: float) -> None:
        self._spark, self._tables, self._definitions, self._every = spark, tables, definitions, every
        for table in (OPS_REQUESTS, OPS_RUNS):
            tables.create(table)
        self._answered = set(tables.read(OPS_RUNS, columns=["request_id"])["request_id"].to_pylist())
        self._version = -1

    def run(self, stop: threading.Event) -> None:
        self._spark.sparkContext.setLocalProperty("spark.scheduler.pool", "batch")
        due = time.monotonic() + self._every
        while not stop.wait(POLL_S):
            for request in self._open_requests():
                self._attempt(request["action"], json.loads(request["arguments"] or "{}"), request_id=request["request_id"])
                self._answered.add(request["request_id"])
            if self._every and time.monotonic() >= due:
                self._attempt("build", {}, request_id=None)
                due = time.monotonic() + self._every

    def _open_requests(self) -> list[dict[str, Any]]:
        found = self._tables.open(OPS_REQUESTS)
        if found is None or found.version() == self._version:
            return []
        self._version = found.version()
        rows = self._tables.read(OPS_REQUESTS).sort_by("requested_at")
        return [row for row in rows.filter(pc.is_valid(rows["request_id"])).to_pylist() if row["request_id"] not in self._answered]

    def _attempt(self, action: str, arguments: dict[str, Any], *, request_id: str | None) -> None:
        """One run with its record; whatever goes wrong is in the record, and the thread goes on."""
        try:
            with RunRecord(self._tables, f"batch.{action}", request_id=request_id) as run:
                manifest = self._act(action, arguments)
                run.counts = {"manifest_id": manifest.manifest_id, "cut": manifest.cut, "kind": manifest.kind}
                if action != "rollback":
                    run.counts["profiles"] = publish_profiles(self._spark, self._tables)
        except NothingToDo as nothing:
            log.info("nothing to build reason=%s", nothing)
        except MillraceError as error:
            log.error("batch run failed action=%s error=%s", action, error)
        except Exception:  # the edge of the thread: the record has it, the stream beside it must go on
            log.exception("batch run failed action=%s", action)

    def _act(self, action: str, arguments: dict[str, Any]) -> Manifest:
        if action == "build":
            return build(self._spark, self._tables, self._definitions, full=bool(arguments.get("full")))
        if action == "rollback":
            return roll_back(self._tables, int(arguments["manifest_id"]))
        raise ConfigurationError(f"found action {action!r}; allowed are build and rollback")
