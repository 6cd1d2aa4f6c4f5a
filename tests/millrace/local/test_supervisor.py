"""The supervisor over small real processes: order, restarts, pauses, and that nothing is left behind."""

import logging
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.client import BadStatusLine
from pathlib import Path

import psutil
import pytest

from millrace.errors import SetupError
from millrace.local import supervisor as module
from millrace.local.supervisor import NotReady, Part, Supervisor

WRITES_ITS_NAME = """
import pathlib, signal, sys, time
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
def leave(*_):
    (folder / "order").open("a").write(f"stop {name}\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
(folder / "order").open("a").write(f"start {name}\\n")
(folder / name).touch()
while True: time.sleep(0.05)
"""


def part(name: str, folder: Path, *needs: str) -> Part:
    """A part that is ready when it has made the file of its name, and writes down when it starts and stops."""
    return Part(name, (sys.executable, "-c", WRITES_ITS_NAME, name, str(folder)), lambda pid: (folder / name).exists(), needs=needs)


def script(name: str, code: str, ready: Callable[[int], bool] = lambda pid: True) -> Part:
    return Part(name, (sys.executable, "-c", code), ready)


def until(condition: Callable[[], object]) -> None:
    while not condition():
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Callable[..., Supervisor]]:
    made: list[Supervisor] = []

    def make(*parts: Part) -> Supervisor:
        made.append(Supervisor(parts, logs=tmp_path / "logs"))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def test_parts_start_after_what_they_need_and_stop_in_reverse(supervise: Callable[..., Supervisor], tmp_path: Path) -> None:
    with supervise(part("broker", tmp_path), part("driver", tmp_path, "broker"), part("api", tmp_path, "driver")) as running:
        running.start()
    order = (tmp_path / "order").read_text().split("\n")[:-1]
    assert order == ["start broker", "start driver", "start api", "stop api", "stop driver", "stop broker"]


def test_a_part_that_dies_is_started_again_and_the_others_stay(supervise: Callable[..., Supervisor], tmp_path: Path) -> None:
    running = supervise(part("broker", tmp_path), part("api", tmp_path, "broker"))
    running.start()
    broker, api = running.pid("broker"), running.pid("api")
    (tmp_path / "api").unlink()
    os.kill(api, signal.SIGKILL)
    until(lambda: running.mend() or (running.is_ready("api") and running.pid("api") not in {api, None}))
    assert running.pid("broker") == broker


def test_pauses_before_a_restart_double_up_to_half_a_minute_and_start_over_after_a_steady_minute(
    supervise: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    running = supervise(script("api", "raise SystemExit(1)"))
    (tmp_path / "logs").mkdir()
    run = running._runs["api"]
    running._launch(run)

    def pause_after_death() -> float:
        run.process.wait()
        running.mend()
        return run.restart_at - now[0]

    pauses = []
    for _ in range(8):
        pauses.append(pause_after_death())
        now[0] = run.restart_at
        running.mend()
    now[0] += module.STEADY_S + 1
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert pause_after_death() == 0.5


def test_what_a_dead_part_started_goes_before_it_is_started_again(supervise: Callable[..., Supervisor], tmp_path: Path) -> None:
    child = tmp_path / "child"
    code = f"""
import pathlib, subprocess, time
made = subprocess.Popen(["sleep", "600"])
pathlib.Path({str(child)!r} + ".part").write_text(str(made.pid)); pathlib.Path({str(child)!r} + ".part").rename({str(child)!r})
while True: time.sleep(0.05)
"""
    running = supervise(script("driver", code, lambda pid: child.exists()))
    running.start()
    left = int(child.read_text())
    os.kill(running.pid("driver"), signal.SIGKILL)
    until(lambda: running.mend() or not running.is_ready("driver"))
    until(lambda: is_gone(left))
    assert is_gone(left)


def test_a_part_that_dies_before_it_is_ready_ends_the_start_with_its_last_words(supervise: Callable[..., Supervisor], tmp_path: Path) -> None:
    running = supervise(part("broker", tmp_path), script("api", "raise SystemExit('port 80 is taken')", lambda pid: False))
    with pytest.raises(SetupError, match=r"the part api ended with exit code 1(?s:.*)port 80 is taken"), running:
        running.start()
    assert running.pid("broker") is None


def test_a_part_that_is_never_ready_ends_the_start(supervise: Callable[..., Supervisor]) -> None:
    running = supervise(replace(script("api", "import time; time.sleep(600)", lambda pid: False), start_s=0.3))
    with pytest.raises(SetupError, match=r"the part api was not ready within 0\.3 s"):
        running.start()


def test_a_part_whose_start_depends_on_the_data_is_waited_for_and_what_it_says_is_told(
    supervise: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "TOLD_EVERY_S", 0.3)
    caplog.set_level(logging.INFO)
    until = time.monotonic() + 0.8

    def ready(pid: int) -> bool:
        if time.monotonic() < until:
            raise NotReady("manifest 7 is being opened")
        return True

    supervise(replace(script("api", "import time; time.sleep(600)", ready), start_s=math.inf)).start()
    told = [record.getMessage() for record in caplog.records if "not_ready_yet" in record.getMessage()]
    assert len(told) >= 2
    assert all(message.endswith("reason=manifest 7 is being opened") for message in told)


def test_a_probe_that_finds_nobody_listening_is_asked_again(supervise: Callable[..., Supervisor]) -> None:
    answers = iter([ConnectionRefusedError(), False, True])

    def ready(pid: int) -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    running = supervise(script("api", "import time; time.sleep(600)", ready))
    running.start()
    assert list(answers) == []


def test_a_part_that_ignores_sigterm_is_killed(supervise: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.2)
    code = f"import signal, time, pathlib; signal.signal(signal.SIGTERM, signal.SIG_IGN); pathlib.Path({str(tmp_path / 'deaf')!r}).touch(); time.sleep(600)"
    running = supervise(script("api", code, lambda pid: (tmp_path / "deaf").exists()))
    running.start()
    pid = running.pid("api")
    running.stop()
    assert is_gone(pid)


def test_no_part_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    code = textwrap.dedent("""
        import pathlib, sys
        from millrace.local.supervisor import Part, Supervisor
        part = Part("api", (sys.executable, "-c", "import time; time.sleep(600)"), lambda pid: True)
        with Supervisor([part], logs=pathlib.Path(sys.argv[1])) as running:
            running.start()
            print(running.pid("api"), flush=True)
            running.watch()
    """)
    killed = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    part_pid = int(killed.stdout.readline())
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    until(lambda: is_gone(part_pid))
    assert is_gone(part_pid)


def test_a_part_that_cannot_be_started_again_is_tried_later_and_the_others_stay(supervise: Callable[..., Supervisor], tmp_path: Path) -> None:
    running = supervise(part("broker", tmp_path), part("api", tmp_path, "broker"))
    running.start()
    (tmp_path / "logs" / "api.log").unlink()
    (tmp_path / "logs" / "api.log").mkdir()
    api = running.pid("api")
    os.kill(api, signal.SIGKILL)
    until(lambda: running.mend() or running._runs["api"].failures == 2)
    assert running.pid("broker") is not None and running.pid("api") is None
    (tmp_path / "logs" / "api.log").rmdir()
    until(lambda: running.mend() or running.pid("api") not in {api, None})
    assert running.pid("broker") is not None


def test_a_probe_that_fails_in_a_way_nobody_thought_of_ends_nothing(supervise: Callable[..., Supervisor], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    answers = iter([BadStatusLine("x"), True])

    def ready(pid: int) -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    supervise(script("api", "import time; time.sleep(600)", ready)).start()
    assert "reason=its probe failed with BadStatusLine" in caplog.text


def test_the_last_words_of_a_part_that_died_are_told_with_the_pause(supervise: Callable[..., Supervisor], caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    running = supervise(script("api", "print('all is well', flush=True); import time; time.sleep(0.3); raise SystemExit('the disk is full')"))
    running.start()
    until(lambda: running.mend() or "event=ended" in caplog.text)
    assert "part=api event=ended code=1 failures=1 restart_in_s=1.0" in caplog.text
    assert "last_line=the disk is full" in caplog.text
