"""One writer per set of tables: a lock file held for the life of the writing process. Speed, batch and publish jobs take theirs at start."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from millrace.errors import LeaseHeld, SetupError


@contextmanager
def writer_lease(root: str | Path, tenant: str, writer: str) -> Iterator[None]:
    """Holds the lease of ``writer`` (``speed``, ``batch``); LeaseHeld names the process that has it. The kernel frees it when the process dies."""
    path = Path(root) / tenant / "locks" / f"{writer}.lock"
    make_folder(path.parent)
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise LeaseHeld(
                f"process {holder} already writes the {writer} tables of {tenant} under {root}; stop it first, two writers would lose commits"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def make_folder(folder: Path) -> None:
    """The folder, with those above it; SetupError when this user cannot have it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"the folder {folder} cannot be made ({os.strerror(error.errno or 0)}); name one this user may write with --root") from None
