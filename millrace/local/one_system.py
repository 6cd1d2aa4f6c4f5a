"""One local system on a root at a time: a lock that its parts inherit, so that the next one starts when the last part of a killed one has ended. jobs/run_local.py holds it."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from millrace.errors import SetupError
from millrace.lease import holder_of, lock, make_folder, sign

ENDING_S = 60.0
"""How long the parts of a killed system may take to end: each is told when the system dies (see ``millrace.local.processes``)."""

logger = logging.getLogger(__name__)


@contextmanager
def only_system(root: Path) -> Iterator[int]:
    """Holds the root; gives the file descriptor that parts must inherit. SetupError names the system that has it."""
    make_folder(root)
    with (root / "run_local.lock").open("a+", encoding="utf-8") as file:
        until = time.monotonic() + ENDING_S
        while not lock(file):
            holder = holder_of(file)
            if _is_alive(holder) or time.monotonic() > until:
                raise SetupError(f"process {holder or 'unknown'} already runs a local system on {root}; stop it, or give another --root")
            logger.info("event=waiting reason=parts of process %s, which was killed, are still ending", holder)
            time.sleep(1)
        sign(file)
        yield file.fileno()


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:  # somebody else's process
        return True
    return True
