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

from millrace.errors import MillraceError, SetupError
from millrace.local.processes import kill_group, last_lines, start_process, stop_process

POLL_S = 0.1
START_S = 180
TOLD_EVERY_S = 15
STOP_S = 30
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30
STEADY_S = 60
KEPT_LOG_BYTES = 50_000_000

logger = logging.getLogger(__name__)


class NotReady(MillraceError):
    """What a part says about why it cannot work yet."""


@dataclass(frozen=True)
class Part:
    """A child process. ``ready`` is asked with the child's process id until it says yes; meanwhile it may raise OSError (nobody listens) or NotReady.

    ``needs`` names the parts that must be ready before this one starts. ``start_s`` is the longest a start may take: infinite where it depends on the data.
    """

    name: str
    argv: Sequence[str]
    ready: Callable[[int], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    start_s: float = START_S


@dataclass
class _Run:
    """How a part is doing: ``failures`` in a row lengthen the pause before the next start."""

    part: Part
    process: subprocess.Popen[bytes] | None = None
    is_ready: bool = False
    says: str = ""
    started_at: float = 0
    told_at: float = 0
    log_start: int = 0
    failures: int = 0
    restart_at: float | None = None


class Supervisor:
    """Runs parts until told otherwise. Use it as a context manager from the main thread: children end with the thread that started them."""

    def __init__(self, parts: Sequence[Part], *, logs: Path, inherits: Sequence[int] = ()) -> None:
        self._logs, self._inherits = logs, inherits
        self._runs = {part.name: _Run(part) for part in parts}

    def start(self) -> None:
        """Starts every part and returns when all are ready; SetupError with the end of its log when one dies first or takes longer than its ``start_s``."""
        self._logs.mkdir(parents=True, exist_ok=True)
        while waiting := [run for run in self._runs.values() if not run.is_ready]:
            for run in waiting:
                if run.process is None:
                    if all(self._runs[name].is_ready for name in run.part.needs):
                        self._launch(run)
                elif run.process.poll() is not None:
                    raise self._not_started(run, f"ended with exit code {run.process.returncode} before it was ready")
                else:
                    self._look(run)
                    if not run.is_ready and time.monotonic() > run.started_at + run.part.start_s:
                        raise self._not_started(run, f"was not ready within {run.part.start_s:g} s")
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
                    self._relaunch(run, now)
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

    def _relaunch(self, run: _Run, now: float) -> None:
        """A full disk, say, must not end what still runs."""
        try:
            self._launch(run)
        except OSError as error:
            run.started_at = now
            self._pause(run, now)
            logger.error("part=%s event=not_started failures=%d restart_in_s=%.1f reason=%s", run.part.name, run.failures, (run.restart_at or now) - now, error)

    def _launch(self, run: _Run) -> None:
        path = self._log(run)
        if path.exists() and path.stat().st_size > KEPT_LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as log:
            run.log_start = log.tell()
            run.process = start_process(run.part.argv, output=log, env=run.part.env, inherits=self._inherits)
        run.started_at = run.told_at = time.monotonic()
        run.restart_at, run.is_ready, run.says = None, False, ""
        logger.info("part=%s event=started pid=%d log=%s", run.part.name, run.process.pid, path)

    def _look(self, run: _Run) -> None:
        """Asks whether a part is ready; while it is not, what it says is told when that changes, and every now and then that it still takes."""
        says, now = "", time.monotonic()
        try:
            run.is_ready = run.process is not None and run.part.ready(run.process.pid)
        except NotReady as told:
            says = str(told)
        except OSError:  # nobody listens yet
            pass
        except Exception as error:  # a probe looks at half-started things: whatever it fails with, the other parts go on
            says = f"its probe failed with {type(error).__name__}"
        if run.is_ready:
            logger.info("part=%s event=ready after_s=%.1f", run.part.name, now - run.started_at)
        elif (says and says != run.says) or now > run.told_at + TOLD_EVERY_S:
            run.says, run.told_at = says, now
            logger.info("part=%s event=not_ready_yet for_s=%.0f reason=%s", run.part.name, now - run.started_at, says or f"it starts; see {self._log(run)}")

    def _note_death(self, run: _Run, now: float) -> None:
        """What the dead part left in its group (a Spark driver's Java) goes too: two writers of one table must never overlap."""
        kill_group(run.process)
        pause, code, says = self._pause(run, now), run.process.returncode, last_lines(self._log(run), count=1, since=run.log_start)
        logger.error(
            "part=%s event=ended code=%d failures=%d restart_in_s=%.1f log=%s last_line=%s", run.part.name, code, run.failures, pause, self._log(run), says
        )

    def _pause(self, run: _Run, now: float) -> float:
        """Seconds until the next start, longer after each failure in a row."""
        run.failures = 0 if now - run.started_at > STEADY_S else run.failures + 1
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**run.failures)
        run.restart_at, run.is_ready = now + pause, False
        return pause

    def _log(self, run: _Run) -> Path:
        return self._logs / f"{run.part.name}.log"

    def _not_started(self, run: _Run, what: str) -> SetupError:
        return SetupError(f"the part {run.part.name} {what}; mend what it says and start again\nthe end of {self._log(run)}:\n{last_lines(self._log(run), since=run.log_start)}")
