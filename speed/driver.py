"""The driver process of the speed layer: runs the query until it ends, fails or is told to stop. jobs/stream_events.py calls it."""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pyspark.sql import SparkSession

from millrace.definitions import Definitions
from millrace.delta import TenantTables
from millrace.errors import MillraceError
from speed.stream import RunningStream, StreamSettings, run_stream

log = logging.getLogger(__name__)
Companion = Callable[[threading.Event], None]
"""Work that shares the driver (the batch layer on one machine): runs until the event is set."""


def run_driver(
    spark: SparkSession, tables: TenantTables, definitions: Definitions, *, kafka: str, settings: StreamSettings, companion: Companion | None = None
) -> None:
    """Runs the stream until it has read everything (``available_now``) or the process is asked to stop. MillraceError with the cause when the query fails."""
    spark.sparkContext.setLocalProperty("spark.scheduler.pool", "stream")
    stream = run_stream(spark, tables, definitions, kafka=kafka, settings=settings)
    stop = threading.Event()
    with ExitStack() as stack:
        stack.callback(_stop, stream)
        if companion is not None:
            thread = threading.Thread(target=companion, args=(stop,), name="batch", daemon=True)
            thread.start()
            stack.callback(thread.join, 60)
        stack.callback(stop.set)
        ready = Path(tables.path("checkpoints/driver.ready"))
        ready.write_text(str(os.getpid()), encoding="utf-8")
        stack.callback(ready.unlink, missing_ok=True)
        while not stream.query.awaitTermination(1) and stream.writer.failure() is None:
            pass
        if failure := stream.query.exception() or stream.writer.failure():
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
