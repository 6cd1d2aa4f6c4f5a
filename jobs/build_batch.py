"""Builds and publishes a batch version of a tenant: ``python -m jobs.build_batch --root R --tenant T [--full]``, or spark-submit."""

import argparse
import logging
import sys

from batch.build import build, check_work
from batch.serving_tables import write_serving_tables
from jobs import job, log_to_stderr
from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from millrace.lease import writer_lease
from millrace.session import create_session
from millrace.tables.delta import TenantTables
from millrace.tables.runs import RunRecord

SERVING_S = 600.0
"""How long a refresh of serving/profiles that is under way may keep this job from writing it."""


@job(spark=True)
def main(argv: list[str] | None = None) -> None:
    """0 published, 2 wrong definitions or set-up, 3 the proof failed and the last version keeps serving, 4 nothing to do, 1 anything else."""
    parser = argparse.ArgumentParser(prog="python -m jobs.build_batch", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions")
    parser.add_argument("--full", action="store_true", help="recompute from the log alone")
    options = parser.parse_args(argv)
    log_to_stderr(py4j=logging.ERROR)
    settings = settings_of(options)
    tables = TenantTables(settings.root, settings.tenant)
    with RunRecord(tables, "build_batch") as run, writer_lease(settings.root, settings.tenant, "batch"):
        definitions = load_definitions(settings.definitions)
        check_work(tables, definitions, full=options.full)  # before Spark takes cores of the cluster
        spark = create_session("build_batch", **dict(settings.spark))
        manifest = build(spark, tables, definitions, full=options.full, settings=settings.batch)
        run.counts = {"manifest_id": manifest.manifest_id, "cut": manifest.cut, "kind": manifest.kind}
        with writer_lease(settings.root, settings.tenant, "serving", wait_s=SERVING_S):
            run.counts |= write_serving_tables(lambda: spark, tables, settings=settings.batch, definitions=definitions)


if __name__ == "__main__":
    sys.exit(main())
