"""The driver process of the speed layer: runs the query until it ends, fails or is told to stop. jobs/stream_events.py calls it."""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Protocol

from pyspark.sql import SparkSession

from millrace.definitions import Definitions
from millrace.errors import MillraceError
from millrace.tables.delta import TenantTables
from speed.stream import RunningStream, StreamSettings, run_stream

log = logging.getLogger(__name__)


class Companion(Protocol):
    """Work that shares the driver (the batch layer on one machine)."""

    def run(self, stop: threading.Event) -> None:
        """Until the event is set."""
        ...

    def adopt(self, definitions: Definitions) -> None:
        """The stream writes under these from now on."""
        ...


def run_driver(
    spark: SparkSession, tables: TenantTables, definitions: Callable[[], Definitions], *, kafka: str, settings: StreamSettings, companion: Companion | None = None
) -> None:
    """Runs the stream until it has read everything (``available_now``) or the process is asked to stop. When ``definitions`` become others it goes on under them, from
    the next epoch on. MillraceError with the cause when the query fails."""
    spark.sparkContext.setLocalProperty("spark.scheduler.pool", "stream")
    start = partial(run_stream, spark, tables, kafka=kafka, settings=settings)
    current = definitions()
    running = [start(current)]
    stop = threading.Event()
    with ExitStack() as stack:
        stack.callback(lambda: _stop(running[-1]))
        if companion is not None:
            thread = threading.Thread(target=companion.run, args=(stop,), name="batch", daemon=True)
            thread.start()
            stack.callback(thread.join, 60)
        stack.callback(stop.set)
        ready = Path(tables.path("checkpoints/driver.ready"))
        ready.write_text(str(os.getpid()), encoding="utf-8")
        stack.callback(ready.unlink, missing_ok=True)
        while not running[-1].query.awaitTermination(1) and running[-1].writer.failure() is None:
            running[-1].expire_if_due()
            newest = definitions()
            if (newest.hash, newest.plan_hash) != (current.hash, current.plan_hash):
                running[-1].stop()
                current = newest
                running[:] = [start(current)]
                log.info("definitions have changed definitions=%s", current.hash)
                if companion is not None:
                    companion.adopt(current)
        if failure := running[-1].query.exception() or running[-1].writer.failure():
            raise MillraceError(f"the stream of {tables.tenant} stopped: {_cause(str(failure))}")


def _stop(stream: RunningStream) -> None:
    try:
        stream.stop()
    except Exception as failure:  # the edge of the process: run_driver raises it with its cause
        log.error("last epoch not written error=%s", type(failure).__name__)
    log.info("stream stopped")


def _cause(text: str) -> str:
    """The last line that names an exception: what Python raised inside an epoch, not Spark's wrapping of it."""
    named = [line.strip() for line in text.splitlines() if "Error: " in line or "Exception: " in line]
    return named[-1] if named else text.strip().splitlines()[0]
