"""Makes an older batch version serve again: ``python -m jobs.rollback_batch --root R --tenant T --to ID``. Needs no Spark."""

import argparse
import sys

from batch.rollback import roll_back
from jobs import job, log_to_stderr
from millrace.config import add_options, settings_of
from millrace.lease import writer_lease
from millrace.tables.delta import TenantTables
from millrace.tables.runs import RunRecord


@job()
def main(argv: list[str] | None = None) -> None:
    """0 rolled back, 2 the version is not kept or the set-up is wrong, 1 anything else."""
    parser = argparse.ArgumentParser(prog="python -m jobs.rollback_batch", description=__doc__)
    add_options(parser, root="root", tenant="tenant")
    parser.add_argument("--to", required=True, type=int, metavar="ID", help="manifest id to serve again (GET /v1/batches lists them)")
    options = parser.parse_args(argv)
    log_to_stderr()
    settings = settings_of(options)
    tables = TenantTables(settings.root, settings.tenant)
    with RunRecord(tables, "rollback_batch") as run, writer_lease(settings.root, settings.tenant, "batch"):
        run.counts = {"manifest_id": roll_back(tables, options.to, keep=settings.batch.keep_versions).manifest_id}


if __name__ == "__main__":
    sys.exit(main())
