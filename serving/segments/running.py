"""Puts a follower together and runs it: jobs/follow_segments.py calls it, holding the lease of the tables it writes."""

import os
import threading
from pathlib import Path

from millrace.settings import Settings
from millrace.tables.delta import TenantTables
from serving.segments.delivery import KafkaMemberships
from serving.segments.following import SegmentFollower
from serving.segments.parts import Parts
from serving.segments.watching import Watch
from serving.store.store import now_micros


def follow_segments(tables: TenantTables, settings: Settings, *, secret: bytes, stop: threading.Event) -> None:
    """Follows until ``stop`` or a signal that raises."""
    watch = Watch(Path(settings.definitions))
    publisher = KafkaMemberships(settings.kafka, settings.tenant, timeout_s=settings.segments.delivery_timeout)
    poll_s = settings.segments.poll
    parts = Parts(tables, publisher, watch.definitions, watch.rules, secret=secret, clock=now_micros, poll_s=poll_s, trouble=lambda: watch.problem)
    follower = SegmentFollower(parts)
    ready = ready_file(tables)
    threading.Thread(target=_tell_ready, args=(follower, ready, stop), name="segments-ready", daemon=True).start()
    try:
        follower.run(stop)
    finally:
        stop.set()
        ready.unlink(missing_ok=True)
        follower.close()
        publisher.close()


def ready_file(tables: TenantTables) -> Path:
    return Path(tables.root) / tables.tenant / "segments" / "ready"


def _tell_ready(follower: SegmentFollower, path: Path, stop: threading.Event) -> None:
    while not follower.ready.wait(0.1) and not stop.is_set():
        pass
    if not stop.is_set():
        path.write_text(f"{os.getpid()}\n", encoding="utf-8")
