"""The watch of data health under crashes: the real job dies by SIGKILL at each of its crash points; the next run leaves the rows and alerts that an undisturbed one does.

Tables are written by hand, and nobody answers for Kafka: windows are final by the records after them.
"""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from millrace.faults import CRASH_POINTS, VARIABLE
from millrace.local.processes import start_process, stop_process
from millrace.tables.catalogue import OPS_ALERTS
from tests.serving.data_health.logged import DEFINITIONS, HOUR, START, Log, Sent

HEALTH = [name for name in CRASH_POINTS if name.startswith("health.")]
REPOSITORY = Path(__file__).resolve().parents[2]
DONE_S = 90
HOURS = 40
BEGAN = (int(time.time()) // HOUR - HOURS - 1) * HOUR - START


def write_history(log: Log, *, first: int, last: int) -> None:
    """About a hundred records an hour until now; in hours 30 and 31 none of the shop."""
    chance = random.Random(first)
    for hour in range(first, last):
        places = sorted(BEGAN + hour * HOUR + chance.random() * HOUR for _ in range(100))
        log.write(*(Sent(at, "app" if hour in (30, 31) or chance.random() < 0.5 else "shop") for at in places))


def run(log: Log, crash_at: str = "") -> int:
    definitions = Path(log.tables.root) / "definitions"
    definitions.mkdir(parents=True, exist_ok=True)
    (definitions / "views.yml").write_text(json.dumps(DEFINITIONS.model_dump(mode="json", exclude_defaults=True)["views"]), encoding="utf-8")
    options = ["--root", log.tables.root, "--tenant", "t", "--definitions", str(definitions), "--kafka", "127.0.0.1:1", "--once"]
    with open(Path(log.tables.root) / "watch.log", "ab") as output:
        process = start_process([sys.executable, "-m", "jobs.watch_data_health", *options], output=output, env={VARIABLE: crash_at}, cwd=REPOSITORY)
        try:
            return process.wait(DONE_S)
        except subprocess.TimeoutExpired:
            return stop_process(process, wait_s=1)


def alerts(log: Log) -> list[tuple[str, str, str]]:
    return sorted((row["source"], row["kind"], row["sentence"]) for row in log.tables.read(OPS_ALERTS).to_pylist())


@pytest.mark.parametrize("point", HEALTH)
def test_the_watch_dies_and_the_next_run_leaves_each_row_and_each_alert_once(point: str, tmp_path: Path) -> None:
    disturbed, other = Log(tmp_path / "disturbed"), Log(tmp_path / "other")
    for log in (disturbed, other):
        write_history(log, first=0, last=34)
    assert run(disturbed, crash_at=point) == -signal.SIGKILL
    assert run(other) == 0
    for log in (disturbed, other):
        write_history(log, first=34, last=HOURS)
    assert (run(disturbed), run(other)) == (0, 0)
    told = alerts(other)
    assert ("shop", "received") in {(source, kind) for source, kind, _ in told} and len(told) == len(set(told))
    assert alerts(disturbed) == told
    without_head = [[{name: value for name, value in row.items() if name != "head"} for row in log.rows()] for log in (disturbed, other)]
    assert without_head[0] == without_head[1]
    assert run(disturbed) == 4
