"""Writes the open Delta tables of a tenant, as of the last epoch: ``python -m jobs.publish_serving --root R --tenant T``, or spark-submit."""

import argparse
import logging
import sys
from functools import cache

from batch.serving_tables import write_serving_tables
from jobs import job, log_to_stderr
from millrace.config import add_options, settings_of
from millrace.lease import writer_lease
from millrace.session import create_session
from millrace.tables.delta import TenantTables
from millrace.tables.runs import RunRecord


@job()
def main(argv: list[str] | None = None) -> None:
    """0 written, 2 wrong set-up, 4 nothing is published yet or nothing touched, 1 anything else. Spark starts only for more than fits the driver."""
    parser = argparse.ArgumentParser(prog="python -m jobs.publish_serving", description=__doc__)
    add_options(parser, root="root", tenant="tenant")
    parser.add_argument("--touched", action="store_true", help="compute only the rows of persons whom something has touched since the last time")
    options = parser.parse_args(argv)
    log_to_stderr(py4j=logging.ERROR)
    settings = settings_of(options)
    tables = TenantTables(settings.root, settings.tenant)
    with RunRecord(tables, "publish_serving") as run, writer_lease(settings.root, settings.tenant, "serving"):
        session = cache(lambda: create_session("publish_serving", **dict(settings.spark)))
        run.counts = write_serving_tables(session, tables, settings=settings.batch, touched=options.touched)


if __name__ == "__main__":
    sys.exit(main())
