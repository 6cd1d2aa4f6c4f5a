"""Child processes of one machine: children that end with their parent, free ports, the end of a log. Broker and supervisor use it."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType
from typing import IO

from millrace.errors import ConfigurationError

_PR_SET_PDEATHSIG = 1


def start_process(
    argv: Sequence[str], *, output: IO[bytes] | None = None, env: Mapping[str, str] | None = None, cwd: Path | None = None, inherits: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """Starts a child in a process group of its own (Ctrl-C reaches only us) that gets SIGTERM when the calling thread ends, even by SIGKILL.

    ``inherits``: file descriptors it has open from the start.
    """
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        env=None if env is None else {**os.environ, **env},
        cwd=cwd,
        pass_fds=tuple(inherits),
        start_new_session=True,
        preexec_fn=_ends_with(os.getpid()),
    )


def stop_process(process: subprocess.Popen[bytes], *, wait_s: float) -> int:
    """SIGTERM, then after ``wait_s`` seconds SIGKILL to the child's whole group; its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            return process.wait(wait_s)
        except subprocess.TimeoutExpired:
            pass
    kill_group(process)
    return process.wait()


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a child and to what it started in its group (a Spark driver's Java, for one)."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def free_ports(host: str, count: int) -> list[int]:
    """Distinct ports nobody listens on at the moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in sockets:
            listener.bind((host, 0))
        return [listener.getsockname()[1] for listener in sockets]


def split_address(text: str) -> tuple[str, int]:
    """``host:port`` in its parts; port 0 means any free one. ConfigurationError when it is something else."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigurationError(f"{text!r} is not an address; write host:port, for example 127.0.0.1:9092 (port 0: any free one)")
    return host, int(port)


def exit_on_signals() -> None:
    """Turns the first SIGINT or SIGTERM into SystemExit(0), so that ``with`` blocks stop what they started; later ones do not disturb them."""
    both = (signal.SIGINT, signal.SIGTERM)

    def leave(number: int, frame: FrameType | None) -> None:
        for each in both:
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(0)

    for number in both:
        signal.signal(number, leave)


def last_lines(path: Path, *, count: int = 12, since: int = 0) -> str:
    """The last lines a log got after byte ``since``, without the frames of Java's stack traces; nothing when it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(since)
            lines = file.read().decode("utf-8", "replace").splitlines()
            return "\n".join([line for line in lines if not line.startswith("\tat ")][-count:])
    except OSError:
        return ""


def _ends_with(parent: int) -> Callable[[], None] | None:
    """What a new child runs first, so that it is told when ``parent`` ends. Linux only: elsewhere a killed parent leaves its children."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)

    def ask_for_signal() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)

    return ask_for_signal
