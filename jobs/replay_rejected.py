"""Sends rejected records through the topic again, repaired if told how: ``python -m jobs.replay_rejected --where "reason = 'plan_violation'" [--repair FILE] [--dry-run]``."""

import argparse
import json
import logging
import sys
from pathlib import Path

from batch.replay import Replay
from jobs import job, log_to_stderr
from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from millrace.events.repairs import load_repairs
from millrace.keys import read_keys
from millrace.lease import writer_lease
from millrace.tables.delta import TenantTables
from millrace.tables.runs import RunRecord


@job()
def main(argv: list[str] | None = None) -> None:
    """0 with one JSON line of counts, 2 a wrong condition, file or configuration, 1 when the broker does not answer. However often it is run, a record counts once."""
    parser = argparse.ArgumentParser(prog="python -m jobs.replay_rejected", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions", kafka="kafka.bootstrap")
    parser.add_argument("--where", required=True, metavar="CONDITION", help="SQL over the columns of log/rejected, such as \"source = 'shop'\"; \"true\" for all")
    parser.add_argument("--repair", type=Path, metavar="FILE", help="rules by which records are repaired (docs/rejected.md)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, send nothing")
    options = parser.parse_args(argv)
    log_to_stderr(kafka=logging.ERROR)
    settings = settings_of(options)
    tables = TenantTables(settings.root, settings.tenant)
    rules = load_repairs(options.repair) if options.repair else []
    with RunRecord(tables, "replay_rejected") as run, writer_lease(settings.root, settings.tenant, "replay"):
        definitions, secret = load_definitions(settings.definitions), read_keys(settings.root, settings.tenant).token_secret
        kafka = None if options.dry_run else settings.kafka.bootstrap
        run.counts = Replay(tables, definitions, secret, rules, kafka, run.run_id).run(options.where).counts() | {"dry_run": options.dry_run}
    print(json.dumps(run.counts))


if __name__ == "__main__":
    sys.exit(main())
