"""Keeps memberships of segments up to date within seconds, without a JVM: ``python -m jobs.follow_segments --root R --tenant T --kafka H:P``."""

import argparse
import logging
import sys
import threading

from jobs import job, log_to_stderr
from millrace.config import add_options, settings_of
from millrace.keys import load_or_create_keys
from millrace.lease import writer_lease
from millrace.local.processes import exit_on_signals
from millrace.tables.delta import TenantTables
from millrace.tables.runs import RunRecord
from serving.segments.running import follow_segments


@job()
def main(argv: list[str] | None = None) -> None:
    """0 after a signal, 2 wrong definitions or set-up, 3 when tables and ledger disagree. The file ``segments/ready`` names the process once it follows."""
    parser = argparse.ArgumentParser(prog="python -m jobs.follow_segments", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions", kafka="kafka.bootstrap")
    options = parser.parse_args(argv)
    log_to_stderr(kafka=logging.CRITICAL)
    exit_on_signals()
    settings = settings_of(options)
    tables = TenantTables(settings.root, settings.tenant)
    keys = load_or_create_keys(settings.root, settings.tenant)
    with RunRecord(tables, "follow_segments"), writer_lease(settings.root, settings.tenant, "segments"):
        follow_segments(tables, settings, secret=keys.token_secret, stop=threading.Event())


if __name__ == "__main__":
    sys.exit(main())
