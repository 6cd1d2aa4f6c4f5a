"""Proposes persons who share no identifier but look alike: ``python -m jobs.link_persons --root R --tenant T [--train]``. Needs no Spark."""

import argparse
import sys

from batch.linkage.run import link_persons
from jobs import job, log_to_stderr
from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from millrace.lease import writer_lease
from millrace.tables.delta import TenantTables
from millrace.tables.runs import RunRecord


@job()
def main(argv: list[str] | None = None) -> None:
    """0 candidates written, 2 wrong definitions or set-up, 4 the linkage is off or has too few persons, 1 anything else."""
    parser = argparse.ArgumentParser(prog="python -m jobs.link_persons", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions")
    parser.add_argument("--train", action="store_true", help="learn the model anew; without it the newest model for these attributes scores")
    options = parser.parse_args(argv)
    log_to_stderr()
    settings = settings_of(options)
    tables = TenantTables(settings.root, settings.tenant)
    with RunRecord(tables, "link_persons") as run, writer_lease(settings.root, settings.tenant, "linkage"):
        run.counts = link_persons(tables, load_definitions(settings.definitions).identity.linkage, anew=options.train)


if __name__ == "__main__":
    sys.exit(main())
