"""Takes events over HTTP and acknowledges them once the Kafka broker has: ``python -m jobs.collect_events --root R --tenant T --listen H:P --kafka H:P``."""

import argparse
import json
import logging
import sys

from jobs import job, log_to_stderr
from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from millrace.keys import load_or_create_keys
from millrace.tables.delta import TenantTables
from serving.collector.kafka_publisher import KafkaPublisher
from serving.collector.server import serve_collector


@job()
def main(argv: list[str] | None = None) -> None:
    """0 after an orderly end (SIGTERM, SIGINT). One JSON line on stdout says where it listens; it needs no broker to start."""
    parser = argparse.ArgumentParser(prog="python -m jobs.collect_events", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions", listen="collector.listen", kafka="kafka.bootstrap", queue="collector.queue_events")
    options = parser.parse_args(argv)
    log_to_stderr(kafka=logging.ERROR)
    settings = settings_of(options)
    keys = load_or_create_keys(settings.root, settings.tenant)
    publisher = KafkaPublisher(settings.kafka, settings.tenant, settings.collector)
    definitions = load_definitions(settings.definitions)
    tables = TenantTables(settings.root, settings.tenant)
    announce = lambda url: print(json.dumps({"ready": True, "collector": url}), flush=True)  # noqa: E731
    serve_collector(settings.collector, keys, publisher, definitions=definitions, tables=tables, announce=announce)


if __name__ == "__main__":
    sys.exit(main())
