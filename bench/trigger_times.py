"""Watches a streaming query for a while and prints its trigger times; noop_stream.py and stock_append.py, processes of their own, end with it."""

import json
import sys
import time
from collections.abc import Callable

from pyspark.sql.streaming import StreamingQuery


def trigger_times(query: StreamingQuery, *, seconds: float, warm: float) -> list[float]:
    """Milliseconds of each trigger that had records, once it has run for ``warm`` seconds; the query is stopped after ``seconds``."""
    triggers: dict[int, float] = {}
    started = time.monotonic()
    while (passed := time.monotonic() - started) < seconds:
        time.sleep(1)
        for progress in query.recentProgress if passed > warm else []:
            if progress.numInputRows:
                triggers[progress.batchId] = progress.durationMs["triggerExecution"]
    query.stop()
    return list(triggers.values())


def run(main: Callable[[str, str, str, float, float], list[float]]) -> None:
    """Arguments of the process: bootstrap, topic, folder, seconds, warm. Prints a JSON list."""
    bootstrap, topic, folder, seconds, warm = sys.argv[1:]
    print(json.dumps(main(bootstrap, topic, folder, float(seconds), float(warm))))
