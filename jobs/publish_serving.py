"""Writes the open Delta tables of a tenant from its published batch version: ``python -m jobs.publish_serving --root R --tenant T``, or spark-submit."""

import argparse
import logging
import sys

from batch.profiles import publish_profiles
from millrace.delta import TenantTables
from millrace.errors import MillraceError
from millrace.lease import writer_lease
from millrace.local.doctor import quick_check
from millrace.runs import RunRecord
from millrace.session import create_session


def main(argv: list[str] | None = None) -> int:
    """0 written, 2 wrong set-up, 4 nothing is published yet, 1 anything else."""
    parser = argparse.ArgumentParser(prog="python -m jobs.publish_serving", description=__doc__)
    parser.add_argument("--root", required=True, help="folder that holds the tenants")
    parser.add_argument("--tenant", required=True)
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("py4j").setLevel(logging.ERROR)
    tables = TenantTables(options.root, options.tenant)
    try:
        quick_check()
        with writer_lease(options.root, options.tenant, "serving"), RunRecord(tables, "publish_serving") as run:
            run.counts = {"profiles": publish_profiles(create_session("publish_serving"), tables)}
    except MillraceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
