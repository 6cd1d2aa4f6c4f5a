"""The local system under the demo: started as a process of its own, asked over HTTP only, measured and stopped. run.py starts and stops it."""

import json
import os
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from millrace.definitions import DEFAULT_DIRECTORY
from millrace.errors import MillraceError, SetupError
from millrace.local.processes import last_lines, start_process, stop_process

START_S = 300.0
STOP_S = 60.0
BATCH_EVERY = "0"
"""No batch but those the story asks for."""
LOG = "run_local.log"
REPOSITORY = Path(__file__).resolve().parents[2]
GROCERY = DEFAULT_DIRECTORY.parent / "grocery"
"""Definitions of the demo's tenant."""


@dataclass(frozen=True)
class Addresses:
    """The ready line of the local system."""

    collector: str
    api: str
    kafka: str
    write_key: str
    read_key: str
    admin_key: str


class LocalSystem:
    """`python -m jobs.run_local` on free ports of this machine; ``addresses`` and ``memory`` are known once it is started."""

    def __init__(self, root: Path, *, definitions: Path = GROCERY, command: tuple[str, ...] = (sys.executable, "-m", "jobs.run_local")) -> None:
        self.log = root / LOG
        free = [f"--{name}=127.0.0.1:0" for name in ("collector", "api")]
        self._argv = [*command, "--root", str(root), *free, "--batch-every", BATCH_EVERY, "--definitions", str(definitions)]
        self.memory = MemoryWatch()

    def start(self) -> None:
        """Returns when it is ready; SetupError or MillraceError with the end of its log when it does not get so far."""
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            self._since = log.tell()
            self._process = start_process(self._argv, output=log, cwd=REPOSITORY)
        try:
            self.addresses = self._wait_until_ready()
        except BaseException:
            stop_process(self._process, wait_s=STOP_S)
            raise
        self.memory.start(self._process.pid)

    def stop(self) -> None:
        """Stops all of its processes; their data stays."""
        self.memory.stop()
        stop_process(self._process, wait_s=STOP_S)

    def check(self) -> None:
        """MillraceError with the end of the log when the system has ended by itself."""
        code = self._process.poll()
        if code is not None:
            raise MillraceError(f"the local system ended with exit code {code}; the end of {self.log}:\n{last_lines(self.log, since=self._since)}")

    def _wait_until_ready(self) -> Addresses:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if ready := self._ready_line():
                return Addresses(**{name: ready[name] for name in Addresses.__dataclass_fields__})
            self.check()
            time.sleep(0.1)
        raise SetupError(
            f"the local system was not ready after {START_S:g} s; `python -m jobs.doctor` checks the machine; the end of {self.log}:\n{last_lines(self.log, since=self._since)}"
        )

    def _ready_line(self) -> dict[str, Any] | None:
        with self.log.open("rb") as log:
            log.seek(self._since)
            for line in log:
                if line.startswith(b'{"ready"') and line.endswith(b"\n"):
                    return json.loads(line)
        return None


class MemoryWatch:
    """Largest memory of a process and all below it, looked at every two seconds: shared pages are counted once where the system tells (Linux)."""

    def __init__(self, *, every_s: float = 2.0) -> None:
        self.peak_bytes = 0
        self.peak_parts: dict[str, int] = {}
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, pid: int) -> None:
        self._thread = threading.Thread(target=self._watch, args=(psutil.Process(pid),), name="demo-memory", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def as_dict(self) -> dict[str, Any]:
        """In MiB, the largest first."""
        parts = sorted(self.peak_parts.items(), key=lambda part: -part[1])
        return {"peak_mib": self.peak_bytes >> 20, "processes_mib": {name: size >> 20 for name, size in parts}}

    def _watch(self, parent: psutil.Process) -> None:
        while not self._stop.wait(self._every_s):
            with suppress(psutil.NoSuchProcess):
                parts = memory_by_process([parent, *parent.children(recursive=True)])
                if sum(parts.values()) > self.peak_bytes:
                    self.peak_bytes, self.peak_parts = sum(parts.values()), parts


def memory_by_process(processes: list[psutil.Process]) -> dict[str, int]:
    """Bytes by what runs: the module of a Python process (`jobs.serve_profiles`), else the program (`java`) with its main class."""
    sizes: dict[str, int] = {}
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            memory = process.memory_full_info()
            name = process_name(process.cmdline())
            sizes[name] = sizes.get(name, 0) + getattr(memory, "pss", memory.rss)
    return sizes


def process_name(argv: list[str]) -> str:
    """A short name without any argument, so that nothing of a command line leaks."""
    program = Path(argv[0]).name if argv else "ended"
    if program.startswith("python") and "-m" in argv[:-1]:
        return argv[argv.index("-m") + 1]
    if program == "java":
        return next((f"java {argument}" for argument in argv[1:] if argument in ("kafka.Kafka", "org.apache.spark.deploy.SparkSubmit")), "java")
    return program
