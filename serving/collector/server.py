"""Runs the collector in this process until SIGTERM or SIGINT: jobs/collect_events.py calls it.

At the signal it stops accepting connections, answers the requests it has, flushes the producer and returns.
"""

import logging
import math
import signal
from collections.abc import Callable

import uvicorn

from millrace.definitions import Definitions
from millrace.keys import TenantKeys
from millrace.settings import CollectorSettings
from millrace.tables.delta import TenantTables
from serving.collector.app import build_app
from serving.collector.kafka_publisher import KafkaPublisher
from serving.listening import BACKLOG, open_listener, url_of

logger = logging.getLogger(__name__)


def serve_collector(
    settings: CollectorSettings, keys: TenantKeys, publisher: KafkaPublisher, *, definitions: Definitions, tables: TenantTables, announce: Callable[[str], None]
) -> None:
    """Serves where the settings say (port 0 takes any free one); ``announce`` gets the URL once connections are taken."""
    listener = open_listener(settings.listen)
    url = url_of(listener)
    config = uvicorn.Config(
        build_app(publisher, keys, definitions=definitions, tables=tables, settings=settings, on_start=lambda: announce(url)),
        loop="uvloop", http="httptools", ws="none", lifespan="on", log_config=None, access_log=False, server_header=False, proxy_headers=False,
        timeout_keep_alive=math.ceil(settings.keep_alive), timeout_graceful_shutdown=math.ceil(settings.delivery_timeout) + 5, backlog=BACKLOG,
    )  # fmt: skip
    for noisy in ("kafka.net", "kafka.cluster"):  # several lines a second while the broker is away; the watch says it once
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    # uvicorn drains at these signals and then sends them to itself again, for whoever listened before: without this the process would die of them.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listener])
    logger.info("collector_drained url=%s", url)
