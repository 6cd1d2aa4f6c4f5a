"""One writer per set of tables: a lock file held for the life of the writing process. Speed, batch and publish jobs take theirs at start."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from millrace.errors import LeaseHeld, SetupError


@contextmanager
def writer_lease(root: str | Path, tenant: str, writer: str, *, wait_s: float = 0) -> Iterator[None]:
    """Holds the lease of ``writer`` (``speed``, ``batch``, ``serving``). LeaseHeld names the process that still has it after ``wait_s``; the kernel frees it when
    the process dies."""
    path = Path(root) / tenant / "locks" / f"{writer}.lock"
    make_folder(path.parent)
    with open(path, "a+", encoding="utf-8") as file:
        until = time.monotonic() + wait_s
        while not (is_ours := lock(file)) and time.monotonic() < until:
            time.sleep(0.1)
        if not is_ours:
            raise LeaseHeld(
                f"process {holder_of(file) or 'unknown'} already writes the {writer} tables of {tenant} under {root}; stop it first, two writers would lose commits"
            )
        sign(file)
        yield


def make_folder(folder: Path) -> None:
    """The folder, with those above it; SetupError when this user cannot have it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"the folder {folder} cannot be made ({os.strerror(error.errno or 0)}); name one this user may write with --root") from None


def lock(file: IO[Any]) -> bool:
    """Locks an open file until it is closed by whoever has it open; False when another process holds it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def sign(file: IO[str]) -> None:
    """Writes this process into a lock file it holds (open to append and read)."""
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()


def holder_of(file: IO[str]) -> str:
    """The process that signed a lock file; empty when none has."""
    file.seek(0)
    return file.read().strip()
