"""Takes events over HTTP and acknowledges them once the Kafka broker has: ``python -m jobs.collect_events --root R --tenant T --listen H:P --kafka H:P``."""

import argparse
import json
import logging
import sys

from millrace.config import add_options, settings_of
from millrace.definitions import load_definitions
from millrace.errors import MillraceError
from millrace.keys import load_or_create_keys
from millrace.local.doctor import quick_check
from millrace.tables.delta import TenantTables
from serving.collector.kafka_publisher import KafkaPublisher
from serving.collector.server import serve_collector


def main(argv: list[str] | None = None) -> int:
    """0 after an orderly end (SIGTERM, SIGINT). One JSON line on stdout says where it listens; it needs no broker to start."""
    parser = argparse.ArgumentParser(prog="python -m jobs.collect_events", description=__doc__)
    add_options(parser, root="root", tenant="tenant", definitions="definitions", listen="collector.listen", kafka="kafka.bootstrap", queue="collector.queue_events")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.ERROR)
    try:
        quick_check(spark=False)
        settings = settings_of(options)
        keys = load_or_create_keys(settings.root, settings.tenant)
        publisher = KafkaPublisher(settings.kafka, settings.tenant, settings.collector)
        definitions = load_definitions(settings.definitions)
        tables = TenantTables(settings.root, settings.tenant)
        announce = lambda url: print(json.dumps({"ready": True, "collector": url}), flush=True)  # noqa: E731
        serve_collector(settings.collector, keys, publisher, definitions=definitions, tables=tables, announce=announce)
    except MillraceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
