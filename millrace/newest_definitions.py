"""Definitions as they are in their directory now: its files are read again when they have changed. Whoever runs for long asks: the stream, the follower of segments, the API.

A directory that cannot be read, or holds anything wrong, changes nothing: the last sound definitions count, and ``problem`` says what is wrong.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from millrace.definitions import Definitions, load_definitions
from millrace.errors import ConfigurationError

log = logging.getLogger(__name__)
LOOK_S = 0.5


class NewestDefinitions:
    """Looks at the files at most every ``LOOK_S``. Any thread may ask."""

    def __init__(self, directory: Path, definitions: Definitions | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.problem: str | None = None
        self._directory, self._clock, self._lock = directory, clock, threading.Lock()
        self._newest = load_definitions(directory) if definitions is None else definitions
        self._seen = self._files()
        self._looked_at = clock()

    def __call__(self) -> Definitions:
        with self._lock:
            now = self._clock()
            if now - self._looked_at >= LOOK_S:
                self._looked_at = now
                self._look()
            return self._newest

    def _look(self) -> None:
        found = self._files()
        if found == self._seen:
            return
        try:
            self._newest = load_definitions(self._directory)
            self.problem = None
        except ConfigurationError as error:
            self.problem = "; ".join(error.problems)
        self._seen = found
        log.info("definitions read hash=%s segments=%d problem=%s", self._newest.hash, len(self._newest.segments), self.problem is not None)

    def _files(self) -> dict[str, tuple[int, int]]:
        try:
            paths = [*self._directory.glob("*.yml"), *self._directory.glob("tracking_plan/*.json"), *(Path(file.path) for file in self._newest.enrichment.files)]
            return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in paths if path.exists()}
        except OSError:
            return {}
