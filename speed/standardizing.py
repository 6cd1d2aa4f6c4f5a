"""Standardising in a process of its own: records of an epoch go over a pipe, the standard columns come back. The stream uses it while epochs overlap.

Python reads messages one by one, half of an epoch's work, and runs one thread at a time: beside the writing of the epoch before, it needs another interpreter.
The process holds nothing that matters. It ends when its parent does; when it ends early, the epoch fails and nothing of it is written.
"""

import gc
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import IO

import msgspec
import pyarrow as pa

from millrace.definitions import Definitions
from millrace.errors import MillraceError
from millrace.events.standard import Standardizer
from millrace.tracking_plan.records import PlanRules

_STOP_S = 5


class StandardizingProcess:
    """What ``standardizer_of`` gives, in a child process; one epoch at a time."""

    def __init__(self, definitions: Definitions, secret: bytes) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        )
        self._to_child, self._from_child = _piped(self._child.stdin), _piped(self._child.stdout)
        self._to_child.write(msgspec.json.encode((definitions.to_json(), secret)) + b"\n")

    def standardize(self, records: pa.Table) -> pa.Table:
        """As ``Standardizer.standardize``; MillraceError when the process is gone."""
        try:
            _send(self._to_child, records)
            found = _receive(self._from_child)
        except (OSError, pa.ArrowInvalid) as error:
            raise MillraceError(f"the process that standardises events ended ({self._ended()}); its last words are on stderr, start the stream again") from error
        return pa.Table.from_arrays(records.columns + found.columns, names=records.column_names + found.column_names)

    def close(self) -> None:
        """Ends the process; it has nothing to lose."""
        for pipe in (self._to_child, self._from_child):
            with suppress(BrokenPipeError):  # it was gone before
                pipe.close()
        self._ended()

    def _ended(self) -> str:
        try:
            return f"exit code {self._child.wait(_STOP_S)}"
        except subprocess.TimeoutExpired:
            self._child.kill()
            return f"killed, exit code {self._child.wait()}"


def standardizer_of(definitions: Definitions, secret: bytes) -> Standardizer:
    return Standardizer(definitions.readers, secret, rules=PlanRules.of(definitions), enrichment=definitions.enrichment, terms=definitions.terms)


def main() -> None:
    """Standardises what comes on stdin until it ends. Ctrl-C and SIGTERM are for the parent, which may still have an epoch to finish."""
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    records_in, standard_out = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # nothing that prints may come between the answers
    definitions, secret = msgspec.json.decode(records_in.readline(), type=tuple[str, bytes])
    standardizer = standardizer_of(Definitions.from_json(definitions), secret)
    gc.freeze()
    while records_in.peek(1):
        records = _receive(records_in)
        try:
            _send(standard_out, standardizer.standardize(records).drop_columns(records.column_names))
        except BrokenPipeError:  # the parent is gone
            os._exit(0)


def _piped(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise MillraceError("a child process was started without a pipe to it")
    return pipe


def _send(pipe: IO[bytes], rows: pa.Table) -> None:
    with pa.ipc.new_stream(pa.PythonFile(pipe, mode="w"), rows.schema) as stream:
        stream.write_table(rows)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> pa.Table:
    return pa.ipc.open_stream(pa.PythonFile(pipe, mode="r")).read_all()


if __name__ == "__main__":
    main()
