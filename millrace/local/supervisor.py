"""Keeps parts running as child processes: starts them in order of need, restarts what dies, stops all in reverse. ``millrace.local.stack`` gives the parts.

Parts in, running processes and one log file each out. A supervisor that is killed takes its parts with it (see ``millrace.local.processes``).
"""

import logging
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from millrace.errors import SetupError
from millrace.local.processes import kill_group, last_lines, start_process, stop_process

POLL_S = 0.1
START_S = 180
STOP_S = 30
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30
STEADY_S = 60
KEPT_LOG_BYTES = 50_000_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """A child process. ``ready`` is asked with the child's process id until it says yes; ``needs`` names the parts that must be ready before this one starts."""

    name: str
    argv: Sequence[str]
    ready: Callable[[int], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass
class _Run:
    """How a part is doing: ``failures`` in a row lengthen the pause before the next start."""

    part: Part
    process: subprocess.Popen[bytes] | None = None
    is_ready: bool = False
    started_at: float = 0
    failures: int = 0
    restart_at: float | None = None


class Supervisor:
    """Runs parts until told otherwise. Use it as a context manager from the main thread: children end with the thread that started them."""

    def __init__(self, parts: Sequence[Part], *, logs: Path) -> None:
        self._logs = logs
        self._runs = {part.name: _Run(part) for part in parts}

    def start(self, *, wait_s: float = START_S) -> None:
        """Starts every part and returns when all are ready; SetupError with the end of its log when one dies first or takes longer than ``wait_s`` seconds."""
        self._logs.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + wait_s
        while waiting := [run for run in self._runs.values() if not run.is_ready]:
            for run in waiting:
                if run.process is None:
                    if all(self._runs[name].is_ready for name in run.part.needs):
                        self._launch(run)
                elif run.process.poll() is not None:
                    raise self._not_started(run, f"ended with exit code {run.process.returncode} before it was ready")
                else:
                    self._look(run)
            if time.monotonic() > until:
                raise self._not_started(waiting[0], f"was not ready within {wait_s:g} s")
            time.sleep(POLL_S)

    def watch(self) -> None:
        """Restarts what dies, for ever; a signal turned into an exception ends it."""
        while True:
            self.mend()
            time.sleep(POLL_S)

    def mend(self) -> None:
        """One look at every part: notes what died, starts again what has paused long enough."""
        now = time.monotonic()
        for run in self._runs.values():
            if run.restart_at is not None:
                if now >= run.restart_at:
                    self._launch(run)
            elif run.process is not None and run.process.poll() is not None:
                self._note_death(run, now)
            elif run.process is not None and not run.is_ready:
                self._look(run)

    def stop(self) -> None:
        """Stops all parts, the last started first; each gets SIGTERM, and SIGKILL when it does not end."""
        for run in reversed(self._runs.values()):
            if run.process is not None:
                code = stop_process(run.process, wait_s=STOP_S)
                logger.info("part=%s event=stopped code=%d", run.part.name, code)
                kill_group(run.process)
                run.process, run.is_ready, run.restart_at = None, False, None

    def pid(self, name: str) -> int | None:
        """Process id of a part while it runs."""
        process = self._runs[name].process
        return process.pid if process is not None and process.poll() is None else None

    def is_ready(self, name: str) -> bool:
        """Whether the part's present process has answered its probe."""
        return self._runs[name].is_ready

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _launch(self, run: _Run) -> None:
        path = self._log(run)
        if path.exists() and path.stat().st_size > KEPT_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as log:
            run.process = start_process(run.part.argv, output=log, env=run.part.env)
        run.started_at, run.restart_at, run.is_ready = time.monotonic(), None, False
        logger.info("part=%s event=started pid=%d log=%s", run.part.name, run.process.pid, path)

    def _look(self, run: _Run) -> None:
        try:
            run.is_ready = run.process is not None and run.part.ready(run.process.pid)
        except OSError:  # nobody listens yet
            return
        if run.is_ready:
            logger.info("part=%s event=ready after_s=%.1f", run.part.name, time.monotonic() - run.started_at)

    def _note_death(self, run: _Run, now: float) -> None:
        """What the dead part left in its group (a Spark driver's Java) goes too: two writers of one table must never overlap."""
        kill_group(run.process)
        run.failures = 0 if now - run.started_at > STEADY_S else run.failures + 1
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**run.failures)
        run.restart_at, run.is_ready = now + pause, False
        logger.error("part=%s event=ended code=%d restart_in_s=%.1f log=%s", run.part.name, run.process.returncode, pause, self._log(run))

    def _log(self, run: _Run) -> Path:
        return self._logs / f"{run.part.name}.log"

    def _not_started(self, run: _Run, what: str) -> SetupError:
        return SetupError(f"the part {run.part.name} {what}; mend what it says and start again\nthe end of {self._log(run)}:\n{last_lines(self._log(run))}")
