"""Watches what sources send, without a JVM: ``python -m jobs.watch_data_health --root R --tenant T --kafka H:P``; ``--once`` counts what is there and ends."""

import argparse
import json
import logging
import sys
import threading

from jobs import job, log_to_stderr
from millrace.config import add_options, settings_of
from millrace.lease import writer_lease
from millrace.local.processes import exit_on_signals
from millrace.tables.delta import TenantTables
from millrace.tables.runs import RunRecord
from serving.data_health.running import watch_data_health


@job()
def main(argv: list[str] | None = None) -> None:
    """0 after a signal, or with --once when windows became final (4: none did); 2 wrong definitions or set-up, 3 when tables and ledger disagree. The file
    ``data_health/ready`` names the process once it has counted the log."""
    parser = argparse.ArgumentParser(prog="python -m jobs.watch_data_health", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions", kafka="kafka.bootstrap", window="health.window")
    parser.add_argument("--once", action="store_true", help="count the log, judge what is final, and end; prints one JSON line")
    options = parser.parse_args(argv)
    log_to_stderr(kafka=logging.CRITICAL)
    exit_on_signals()
    settings = settings_of(options)
    tables = TenantTables(settings.root, settings.tenant)
    with RunRecord(tables, "watch_data_health") as run, writer_lease(settings.root, settings.tenant, "health"):
        run.counts["windows"] = watch_data_health(tables, settings, stop=threading.Event(), once=options.once)
    if options.once:
        print(json.dumps(run.counts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
