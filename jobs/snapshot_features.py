"""Writes a training set as a new version of ``ml/feature_sets/<name>``: ``python -m jobs.snapshot_features --name N --entities FILE --features F,…``, or spark-submit."""

import argparse
import logging
import sys

from batch.features.feature_sets import read_entities, write_feature_set
from jobs import job, log_to_stderr
from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from millrace.lease import writer_lease
from millrace.session import create_session
from millrace.tables.delta import TenantTables
from millrace.tables.runs import RunRecord


@job(spark=True)
def main(argv: list[str] | None = None) -> None:
    """0 written, 2 wrong set-up, names or entities, 1 anything else."""
    parser = argparse.ArgumentParser(prog="python -m jobs.snapshot_features", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions")
    parser.add_argument("--name", required=True, help="name of the set")
    parser.add_argument("--entities", required=True, metavar="FILE", help="Parquet, CSV or a Delta folder with key, node or person_id, at, and perhaps known_at and labels")
    parser.add_argument("--features", required=True, metavar="F,…", help="such as person__orders_count,person__spend_30d, or person__last_store:30d with a time to live")
    options = parser.parse_args(argv)
    log_to_stderr(py4j=logging.ERROR)
    settings = settings_of(options)
    definitions, tables = load_definitions(settings.definitions), TenantTables(settings.root, settings.tenant)
    with RunRecord(tables, "snapshot_features") as run, writer_lease(settings.root, settings.tenant, "features"):
        entities = read_entities(create_session("snapshot_features", **dict(settings.spark)), options.entities)
        features = options.features.split(",")
        run.counts = write_feature_set(tables, definitions, entities, name=options.name, features=features, settings=settings.batch)


if __name__ == "__main__":
    sys.exit(main())
