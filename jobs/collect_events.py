"""Takes events over HTTP and acknowledges them once the Kafka broker has: ``python -m jobs.collect_events --root R --tenant T --listen H:P --kafka H:P``."""

import argparse
import json
import logging
import sys

from millrace.errors import MillraceError
from millrace.keys import load_or_create_keys
from millrace.local.doctor import quick_check
from serving.collector.kafka_publisher import QUEUE_EVENTS, KafkaPublisher
from serving.collector.server import serve_collector


def main(argv: list[str] | None = None) -> int:
    """0 after an orderly end (SIGTERM, SIGINT). One JSON line on stdout says where it listens; it needs no broker to start."""
    parser = argparse.ArgumentParser(prog="python -m jobs.collect_events", description=__doc__)
    parser.add_argument("--root", required=True, help="folder that holds the tenants")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--listen", default="127.0.0.1:8080", help="HOST:PORT, port 0 for any free one")
    parser.add_argument("--kafka", required=True, help="HOST:PORT of a broker")
    parser.add_argument("--queue", type=int, default=QUEUE_EVENTS, help="events that may wait for the broker before 503 (default %(default)s)")
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.ERROR)
    try:
        quick_check(spark=False)
        keys = load_or_create_keys(options.root, options.tenant)
        publisher = KafkaPublisher(options.kafka, options.tenant, queue_limit=options.queue)
        serve_collector(options.listen, keys, publisher, announce=lambda url: print(json.dumps({"ready": True, "collector": url}), flush=True))
    except MillraceError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
