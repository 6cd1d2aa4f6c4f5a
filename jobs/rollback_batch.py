"""Makes an older batch version serve again: ``python -m jobs.rollback_batch --root R --tenant T --to ID``. Needs no Spark."""

import argparse
import logging
import sys

from batch.rollback import roll_back
from millrace.config import add_options, settings_of
from millrace.errors import MillraceError
from millrace.lease import writer_lease
from millrace.local.doctor import quick_check
from millrace.tables.delta import TenantTables
from millrace.tables.runs import RunRecord


def main(argv: list[str] | None = None) -> int:
    """0 rolled back, 2 the version is not kept or the set-up is wrong, 1 anything else."""
    parser = argparse.ArgumentParser(prog="python -m jobs.rollback_batch", description=__doc__)
    add_options(parser, root="root", tenant="tenant")
    parser.add_argument("--to", required=True, type=int, metavar="ID", help="manifest id to serve again (GET /v1/batches lists them)")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        quick_check(spark=False)
        settings = settings_of(options)
        tables = TenantTables(settings.root, settings.tenant)
        with RunRecord(tables, "rollback_batch") as run, writer_lease(settings.root, settings.tenant, "batch"):
            run.counts = {"manifest_id": roll_back(tables, options.to, keep=settings.batch.keep_versions).manifest_id}
    except MillraceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
