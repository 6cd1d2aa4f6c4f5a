"""All of Millrace on one machine, for real: it becomes ready, heals, stops in order and leaves nothing running."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.stack


def run_local(root: Path) -> subprocess.Popen[str]:
    options = ["--root", str(root), "--tenant", "shop", "--collector", "127.0.0.1:0", "--api", "127.0.0.1:0", "--batch-every", "1h"]
    return subprocess.Popen([sys.executable, "-m", "jobs.run_local", *options], stdout=subprocess.PIPE, text=True)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = run_local(tmp_path)
    yield process
    process.kill()
    process.wait()


def wait_until_gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    _, alive = psutil.wait_procs(processes, timeout=60)
    return [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status
    except OSError:
        return 0


def test_everything_becomes_ready_heals_and_stops(running: subprocess.Popen[str]) -> None:
    ready = json.loads(running.stdout.readline())
    assert set(ready) == {"ready", "collector", "api", "kafka", "write_key", "read_key", "admin_key"}
    assert [status_of(f"{ready[part]}/readyz") for part in ("collector", "api")] == [200, 200]

    everything = psutil.Process(running.pid).children(recursive=True)
    (api,) = (child for child in everything if "jobs.serve_profiles" in child.cmdline())
    os.kill(api.pid, signal.SIGKILL)
    wait_until_gone([api])
    while status_of(f"{ready['api']}/readyz") != 200:
        time.sleep(0.1)

    everything += psutil.Process(running.pid).children(recursive=True)
    running.send_signal(signal.SIGTERM)
    assert running.wait(120) == 0
    assert wait_until_gone(everything) == []


def test_nothing_is_left_when_it_is_killed(running: subprocess.Popen[str]) -> None:
    assert json.loads(running.stdout.readline())["ready"]
    everything = psutil.Process(running.pid).children(recursive=True)
    running.kill()
    running.wait()
    assert wait_until_gone(everything) == []


def test_definitions_that_are_missing_are_named_before_anything_starts(tmp_path: Path) -> None:
    options = ["--root", str(tmp_path), "--definitions", str(tmp_path / "nowhere")]
    refused = subprocess.run([sys.executable, "-m", "jobs.run_local", *options], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "views.yml is missing" in refused.stderr
    assert not (tmp_path / "broker").exists()
