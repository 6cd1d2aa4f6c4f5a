"""The speed layer of a tenant: ``python -m jobs.stream_events --root R --tenant T --kafka H:P``, or spark-submit. With ``--with-batch`` the batch layer shares the driver."""

import argparse
import logging
import sys
from contextlib import ExitStack
from pathlib import Path

from batch.runner import BatchRunner
from jobs import job, log_to_stderr
from millrace.config import add_options, settings_of
from millrace.lease import writer_lease
from millrace.local.processes import exit_on_signals
from millrace.newest_definitions import NewestDefinitions
from millrace.session import create_session
from millrace.tables.delta import TenantTables
from millrace.tables.runs import RunRecord
from speed.driver import run_driver
from speed.stream import StreamSettings


@job(spark=True)
def main(argv: list[str] | None = None) -> None:
    """0 after a signal or, with --available-now, when the topic is read; 1 when the stream failed; 2 wrong definitions or set-up; 3 tables and ledger disagree."""
    parser = argparse.ArgumentParser(prog="python -m jobs.stream_events", description=__doc__)
    add_options(
        parser, root="root", tenant="tenant", kafka="kafka.bootstrap", definitions="definitions", max_records="stream.max_records",
        keep_versions="batch.keep_versions", batch_every="batch.every",
    )  # fmt: skip
    parser.add_argument("--available-now", action="store_true", help="read what the topic holds, then end")
    parser.add_argument("--with-batch", action="store_true", help="run the batch layer in the same driver")
    options = parser.parse_args(argv)
    log_to_stderr(kafka=logging.CRITICAL, py4j=logging.ERROR)
    exit_on_signals()
    settings = settings_of(options)
    tables = TenantTables(settings.root, settings.tenant)
    stream = StreamSettings(**dict(settings.stream), topic=settings.kafka, keep_versions=settings.batch.keep_versions, available_now=options.available_now)
    with RunRecord(tables, "stream_events"), ExitStack() as leases:
        for writer in ("speed", "batch", "serving") if options.with_batch else ("speed",):
            leases.enter_context(writer_lease(settings.root, settings.tenant, writer))
        definitions = NewestDefinitions(Path(settings.definitions))
        spark = create_session("stream_events", **dict(settings.spark))
        runner = BatchRunner(spark, tables, definitions(), settings.batch) if options.with_batch else None
        run_driver(spark, tables, definitions, kafka=settings.kafka.bootstrap, settings=stream, companion=runner)


if __name__ == "__main__":
    sys.exit(main())
