"""Empties the tables of what sources with a term have said, once it is over: ``python -m jobs.expire_sources --root R --tenant T [--dry-run]``. One JSON line a source and table."""

import argparse
import json
import logging
import sys
from datetime import UTC, datetime

from batch.build import build, check_work
from batch.expiry import drop_served_files, expire_sources
from batch.serving_tables import write_serving_tables
from jobs import job, log_to_stderr
from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from millrace.errors import LeaseHeld, NothingToDo
from millrace.lease import writer_lease
from millrace.session import create_session
from millrace.tables.delta import TenantTables
from millrace.tables.runs import RunRecord


@job(spark=True)
def main(argv: list[str] | None = None) -> None:
    """0, also when a running stream does its part itself; 4 when nothing is over, or no source has a term; 2 wrong definitions; 3 tables that do not fit the log."""
    parser = argparse.ArgumentParser(prog="python -m jobs.expire_sources", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions")
    parser.add_argument("--dry-run", action="store_true", help="show what is over; change nothing")
    options = parser.parse_args(argv)
    log_to_stderr(py4j=logging.ERROR)
    settings = settings_of(options)
    tables, definitions = TenantTables(settings.root, settings.tenant), load_definitions(settings.definitions)
    with RunRecord(tables, "expire_sources") as run:
        if not definitions.terms:
            raise NothingToDo("no source has a term; declare `retention` in sources.yml where one is needed")
        report = expire_sources(tables, definitions, now=datetime.now(UTC), run_id=run.run_id, settings=settings.batch, is_dry=options.dry_run)
        for line in [*report.lines(), *({"left": part} for part in report.left)]:
            print(json.dumps(line | {"dry_run": options.dry_run}), flush=True)
        run.counts = {"expired": report.lines(), "left": report.left}
        if options.dry_run:
            return
        try:
            with writer_lease(settings.root, settings.tenant, "batch"), writer_lease(settings.root, settings.tenant, "serving"):
                check_work(tables, definitions, full=False)
                spark = create_session("expire_sources", **dict(settings.spark))
                run.counts |= {"manifest_id": build(spark, tables, definitions, settings=settings.batch).manifest_id}
                run.counts |= write_serving_tables(lambda: spark, tables, settings=settings.batch, definitions=definitions)
                drop_served_files(tables, definitions, settings.batch)
        except LeaseHeld:
            print(json.dumps({"left": "batch version: a batch layer runs, whose next build is without what is over"}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
