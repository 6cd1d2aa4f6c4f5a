"""Standardising in a process of its own: the same rows, and a clear end when the process is gone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pyarrow as pa
import pytest

from millrace.definitions import DEFAULT_DIRECTORY, load_definitions
from millrace.errors import MillraceError
from millrace.standard import Standardizer
from speed.standardizing import StandardizingProcess
from tests.laws.histories import SECRET
from tests.millrace.records import as_table, hand_picked

RECORDS = hand_picked()
STATES = [state for view in load_definitions(DEFAULT_DIRECTORY).states.values() for state in view]


@pytest.fixture
def process() -> Iterator[StandardizingProcess]:
    found = StandardizingProcess(STATES, SECRET)
    yield found
    found.close()


def child_of_test() -> psutil.Process:
    (child,) = [one for one in psutil.Process().children() if "speed.standardizing" in one.cmdline()]
    return child


def test_the_process_gives_the_rows_that_the_function_gives_epoch_after_epoch(process):
    here = Standardizer(STATES, SECRET)
    for records in (as_table(RECORDS), as_table([]), as_table(RECORDS[::-1]), pa.concat_tables([as_table(RECORDS)] * 3)):
        assert process.standardize(records).equals(here.standardize(records))


def test_when_the_process_is_killed_the_epoch_fails_with_a_sentence(process):
    process.standardize(as_table(RECORDS))
    child_of_test().kill()
    with pytest.raises(MillraceError, match="the process that standardises events ended"):
        process.standardize(as_table(RECORDS))


def test_ctrl_c_and_sigterm_are_for_the_parent(process):
    rows = process.standardize(as_table(RECORDS))
    for ignored in (signal.SIGINT, signal.SIGTERM):
        child_of_test().send_signal(ignored)
    assert process.standardize(as_table(RECORDS)).equals(rows)


def test_the_process_ends_with_its_parent():
    code = "import os, signal\nfrom speed.standardizing import StandardizingProcess\np = StandardizingProcess([], b'x')\nprint(p._child.pid, flush=True)\nsignal.pause()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, signal.SIGKILL)
    until = time.monotonic() + 30
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < until, "the process outlives its parent"
        time.sleep(0.05)
