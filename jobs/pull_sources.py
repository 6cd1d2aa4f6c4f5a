"""Pulls what sources.yml says is to be fetched: ``python -m jobs.pull_sources [--source NAME] [--dry-run]``. One JSON line a source."""

import argparse
import json
import logging
import sys

from batch.sources.pulling import Pulling
from jobs import job, log_to_stderr
from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from millrace.errors import ConfigurationError, MillraceError, NothingToDo
from millrace.lease import writer_lease
from millrace.tables.delta import TenantTables
from millrace.tables.runs import RunRecord
from millrace.yaml_files import did_you_mean


@job()
def main(argv: list[str] | None = None) -> None:
    """0 when something was taken or rejected, 4 when nothing is new, 2 wrong definitions, 1 when a source or the broker failed; the other sources are pulled all the same."""
    parser = argparse.ArgumentParser(prog="python -m jobs.pull_sources", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions", kafka="kafka.bootstrap")
    parser.add_argument("--source", metavar="NAME", help="only this one (default: every source with a `pull`)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be taken, with up to three rows, and write nothing")
    options = parser.parse_args(argv)
    log_to_stderr(kafka=logging.ERROR)
    settings = settings_of(options)
    sources = load_definitions(settings.definitions).sources
    pulls = {name: source.pull for name, source in sources.items() if source.pull and options.source in (None, name)}
    if not pulls and options.source:
        raise ConfigurationError(f"--source {options.source}: no source with a `pull` in sources.yml has this name{did_you_mean(options.source, sources)}")
    tables, failed = TenantTables(settings.root, settings.tenant), None
    with RunRecord(tables, "pull_sources") as run, writer_lease(settings.root, settings.tenant, "pulls"):
        for name, pull in pulls.items():
            pulling = Pulling(tables, name, pull, kafka=settings.kafka.bootstrap, run_id=run.run_id, is_dry=options.dry_run)
            try:
                counts = pulling.run().counts()
            except MillraceError as error:
                failed, counts = error, pulling.report.counts() | {"error": str(error)}
            print(json.dumps(counts | {"dry_run": options.dry_run}, ensure_ascii=False), flush=True)
            run.counts[name] = {name: value for name, value in counts.items() if name != "samples"}  # rows of people stay out of the record
        if failed is not None:
            raise failed
        if not any(counts["received"] for counts in run.counts.values()):
            raise NothingToDo("no source has anything new")


if __name__ == "__main__":
    sys.exit(main())
