"""The batch layer inside a running driver: answers requests of the API, builds and refreshes serving tables on a schedule. One thread; errors become failed runs, never end it."""

import json
import logging
import threading
import time
from itertools import chain, repeat
from typing import Any

import pyarrow.compute as pc
from pyspark.sql import SparkSession

from batch.build import build
from batch.expiry import drop_served_files
from batch.rollback import roll_back
from batch.serving_tables import write_serving_tables
from millrace.definitions import Definitions
from millrace.errors import ConfigurationError, MillraceError, NothingToDo
from millrace.settings import BatchSettings
from millrace.tables.catalogue import OPS_REQUESTS, OPS_RUNS
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import NOTHING, read_ledger
from millrace.tables.manifest import Manifest, latest_manifest
from millrace.tables.runs import RunRecord

log = logging.getLogger(__name__)


class BatchRunner:
    """Runs until told to stop. The process holds the leases of batch and serving."""

    def __init__(self, spark: SparkSession, tables: TenantTables, definitions: Definitions, settings: BatchSettings) -> None:
        self._spark, self._tables, self._definitions, self._settings = spark, tables, definitions, settings
        self._adopted = definitions
        for table in (OPS_REQUESTS, OPS_RUNS):
            tables.create(table)
        self._answered = set(tables.read(OPS_RUNS, columns=["request_id"])["request_id"].to_pylist())
        self._version = -1
        self._due, self._refresh_due = (time.monotonic() + pause for pause in (settings.every, settings.refresh_every))

    def adopt(self, definitions: Definitions) -> None:
        """The stream writes under these from now on: the next turn fills them back. Any thread may tell."""
        self._adopted = definitions

    def run(self, stop: threading.Event) -> None:
        """Works until ``stop`` is set."""
        self._spark.sparkContext.setLocalProperty("spark.scheduler.pool", "batch")
        for turn in chain([self._fill_back], repeat(self._turn)):
            try:
                turn()
            except Exception:  # the edge of the thread: without it no request would ever be answered again
                log.exception("batch layer failed, going on")
            if stop.wait(self._settings.poll):
                return

    def _fill_back(self) -> None:
        """Builds at once, whatever the schedule, when the definitions are not those of what is published: what is new in them is answered from then on."""
        manifest, ledger = latest_manifest(self._tables), read_ledger(self._tables)
        before = {manifest.definitions_hash} if manifest else ledger.definitions_since(NOTHING)
        if before - {self._definitions.hash}:
            log.info("definitions have changed: a build fills them back definitions=%s before=%s", self._definitions.hash, ",".join(sorted(before)))
            self._attempt("build", None, request_id=None)

    def _turn(self) -> None:
        if self._adopted is not self._definitions:
            self._definitions = self._adopted
            self._fill_back()
        for request in self._open_requests():
            self._attempt(request["action"], request["arguments"], request_id=request["request_id"])
            self._answered.add(request["request_id"])
        if self._settings.every and time.monotonic() >= self._due:
            self._attempt("build", None, request_id=None)
            self._due = time.monotonic() + self._settings.every
        if self._settings.refresh_every and time.monotonic() >= self._refresh_due:
            self._refresh()
            self._refresh_due = time.monotonic() + self._settings.refresh_every

    def _refresh(self) -> None:
        """No record: there is one a minute, and the rows themselves say what they hold."""
        try:
            self._write_serving(touched=True)
        except NothingToDo:
            pass
        except MillraceError as error:
            log.error("serving tables not refreshed error=%s", error)

    def _write_serving(self, *, touched: bool) -> dict[str, int]:
        return write_serving_tables(lambda: self._spark, self._tables, settings=self._settings, definitions=self._definitions, touched=touched)

    def _open_requests(self) -> list[dict[str, Any]]:
        found = self._tables.open(OPS_REQUESTS)
        if found is None or found.version() == self._version:
            return []
        rows = self._tables.read(OPS_REQUESTS, version=found.version()).sort_by("requested_at")
        self._version = found.version()
        return [row for row in rows.filter(pc.is_valid(rows["request_id"])).to_pylist() if row["request_id"] not in self._answered]

    def _attempt(self, action: str, arguments: str | None, *, request_id: str | None) -> None:
        """One run with its record; whatever goes wrong is in the record, and the thread goes on."""
        try:
            with RunRecord(self._tables, f"batch.{action}", request_id=request_id) as run:
                manifest = self._act(action, json.loads(arguments or "{}"))
                run.counts = {"manifest_id": manifest.manifest_id, "cut": manifest.cut, "kind": manifest.kind}
                if action != "rollback":
                    run.counts |= self._write_serving(touched=False)
                    drop_served_files(self._tables, self._definitions, self._settings)
        except NothingToDo as nothing:
            log.info("nothing to build reason=%s", nothing)
        except MillraceError as error:
            log.error("batch run failed action=%s error=%s", action, error)
        except Exception:  # the edge of the thread: the record has it, the stream beside it must go on
            log.exception("batch run failed action=%s", action)

    def _act(self, action: str, arguments: dict[str, Any]) -> Manifest:
        if action == "build":
            return build(self._spark, self._tables, self._definitions, full=bool(arguments.get("full")), settings=self._settings)
        if action == "rollback":
            return roll_back(self._tables, int(arguments["manifest_id"]), keep=self._settings.keep_versions)
        raise ConfigurationError(f"found action {action!r}; allowed are build and rollback")
