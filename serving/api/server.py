"""Runs store and API of a tenant in this process until SIGTERM or SIGINT: jobs/serve_profiles.py calls it."""

import gc
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn

from millrace.definitions import Definitions
from millrace.keys import load_or_create_keys
from millrace.settings import ApiSettings
from serving.api.app import build_app
from serving.api.batches import BatchRequests
from serving.listening import BACKLOG, open_listener, url_of
from serving.segments.watching import Watch
from serving.store.store import Store

log = logging.getLogger(__name__)
GRACE_S = 5


def serve_profiles(
    root: str | Path, tenant: str, definitions: Definitions, *, settings: ApiSettings, announce: Callable[[str], None], directory: Path | None = None
) -> None:
    """Serves where the settings say (port 0 takes any free one); ``announce`` gets the URL once connections are taken. Segments, and the
    definitions of epochs that may be taken in, are those of the ``directory`` at any time."""
    listener = open_listener(settings.listen)
    keys = load_or_create_keys(root, tenant)
    quiet_pauses()
    declared = Watch(directory, definitions) if directory else None
    store = Store(root, tenant, definitions, secret=keys.token_secret, settings=settings)
    if declared:
        store.newest = declared.definitions
    store.start()
    try:
        _wait_for(store, settings.open_timeout)
        requests = BatchRequests(store.tables, limit_s=settings.batch_timeout)
        server = _AnnouncingServer(
            uvicorn.Config(
                build_app(store, keys, requests=requests, declared=declared), loop="uvloop", http="httptools", ws="none", lifespan="off", log_config=None, access_log=False,
                server_header=False, proxy_headers=False, timeout_graceful_shutdown=GRACE_S, backlog=BACKLOG,
            ),
            lambda: announce(url_of(listener)),
        )  # fmt: skip
        for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn drains at these and then raises them again for whoever listened before
            signal.signal(number, lambda *_: None)
        server.run(sockets=[listener])
    finally:
        store.close()
    log.info("api closed tenant=%s", tenant)


def _wait_for(store: Store, limit_s: float) -> None:
    """Until the store is ready, has something to tell about why not (/readyz shows it), or takes longer than the limit."""
    until = time.monotonic() + limit_s
    while not store.wait_ready(0.05) and store.status().problem is None and time.monotonic() < until:
        pass


def quiet_pauses() -> None:
    """Short waits for a server that holds much: what lives for ever is not searched for garbage, and threads hand over ten times as often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    sys.setswitchinterval(0.0005)


class _AnnouncingServer(uvicorn.Server):
    """Says so when it takes connections."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()
