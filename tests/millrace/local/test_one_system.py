"""One local system on a root: the second is refused with a sentence, the next waits for the parts of a killed one."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from millrace.errors import SetupError
from millrace.local.one_system import only_system

HOLDER = textwrap.dedent("""
    import pathlib, sys
    from millrace.local.one_system import only_system
    from millrace.local.supervisor import Part, Supervisor
    ends_late = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1.5), exit())); print(1, flush=True); time.sleep(600)"
    root = pathlib.Path(sys.argv[1])
    said = lambda pid: (root / "late.log").stat().st_size > 0
    with only_system(root) as lock, Supervisor([Part("late", (sys.executable, "-c", ends_late), said)], logs=root, inherits=[lock]) as running:
        running.start()
        print(running.pid("late"), flush=True)
        running.watch()
""")


@pytest.fixture
def holder(tmp_path: Path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()


def test_a_second_system_on_a_root_is_refused_with_the_process_that_has_it(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    assert holder.stdout.readline()
    with pytest.raises(SetupError, match=rf"process {holder.pid} already runs a local system on .*; stop it, or give another --root"), only_system(tmp_path):
        raise AssertionError("two systems on one root")


def test_the_next_system_waits_until_the_parts_of_a_killed_one_have_ended(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    part = int(holder.stdout.readline())
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    with only_system(tmp_path):
        assert not is_alive(part)
        assert (tmp_path / "run_local.lock").read_text() == str(os.getpid())


def is_alive(pid: int) -> bool:
    """Whether it still runs a moment later: its locks go a little before it does."""
    time.sleep(0.2)
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
