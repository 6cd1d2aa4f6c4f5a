"""Puts the watch of data health together and runs it: jobs/watch_data_health.py calls it, holding the lease of the tables it writes."""

import logging
import os
import threading
from pathlib import Path

from deltalake.exceptions import DeltaError

from millrace.errors import CoverageError, MillraceError, NothingToDo
from millrace.newest_definitions import NewestDefinitions
from millrace.settings import Settings
from millrace.tables.delta import TenantTables
from serving.data_health.following import HealthFollower
from serving.data_health.progress import folder_of
from serving.data_health.topic import KafkaTopic
from serving.store.store import now_micros

log = logging.getLogger(__name__)
RETRY_S = 2.0
ASKED_S = 15.0


def watch_data_health(tables: TenantTables, settings: Settings, *, stop: threading.Event, once: bool) -> int:
    """Watches until ``stop`` or a signal that raises; with ``once`` until the log is counted, then how many windows have become final. NothingToDo when none has;
    CoverageError when tables and ledger disagree."""
    definitions = NewestDefinitions(Path(settings.definitions))
    topic = KafkaTopic(settings.kafka.bootstrap, settings.tenant)
    ready = ready_file(tables)
    try:
        topic.asked.wait(ASKED_S)
        follower = HealthFollower(tables, definitions, topic, now_micros, int(settings.health.window))
        if once:
            return _once(follower)
        _follow(follower, ready, stop, poll_s=settings.health.poll)
        return follower.closed
    finally:
        ready.unlink(missing_ok=True)
        topic.close()


def ready_file(tables: TenantTables) -> Path:
    """Names the process once it has counted the log up to the head."""
    return folder_of(tables) / "ready"


def _once(follower: HealthFollower) -> int:
    while follower.round():
        pass
    if follower.problem:
        raise CoverageError(follower.problem)
    if not follower.closed:
        raise NothingToDo("no window has become final since the last run")
    return follower.closed


def _follow(follower: HealthFollower, ready: Path, stop: threading.Event, *, poll_s: float) -> None:
    is_sound = True
    while not stop.is_set():
        try:
            if not is_sound:
                follower.start_over()
            is_behind, is_sound = follower.round(), True
        except (MillraceError, DeltaError, OSError) as error:
            log.error("round failed error=%s", error)
            is_sound = False
            follower.fail(" ".join(str(error).split()))
            stop.wait(RETRY_S)
            continue
        if not is_behind:
            if not ready.exists():
                ready.parent.mkdir(parents=True, exist_ok=True)
                ready.write_text(f"{os.getpid()}\n", encoding="utf-8")
            stop.wait(poll_s)
