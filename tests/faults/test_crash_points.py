"""Every crash point of the code is in the catalogue and the other way round; and arming one does what it says."""

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from millrace.definitions import DEFAULT_DIRECTORY, load_definitions
from millrace.faults import CRASH_POINTS, VARIABLE
from speed.recovery import speed_tables

TREE = Path(__file__).resolve().parents[2]
LAYERS = ("millrace", "batch", "speed", "serving", "jobs")


def points_in_the_code() -> set[str]:
    """Names given to ``crash_point``; for a name made from a table, one for each table of the speed layer."""
    found = set()
    for path in (path for layer in LAYERS for path in (TREE / layer).rglob("*.py") if path != TREE / "millrace" / "faults.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "crash_point":
                (argument,) = node.args
                if isinstance(argument, ast.Constant):
                    found.add(argument.value)
                    continue
                assert ast.unparse(argument) == "f'speed.appended.{table.name}'", f"{path}:{node.lineno} names a crash point in a way this test does not follow"
                found |= {f"speed.appended.{table.name}" for table in speed_tables(load_definitions(DEFAULT_DIRECTORY))}
    return found


def test_the_catalogue_and_the_code_name_the_same_crash_points():
    assert points_in_the_code() == set(CRASH_POINTS)


def test_every_crash_point_has_a_test_that_dies_there():
    from tests.faults.test_crashes import BATCH, COLLECTOR, SPEED
    from tests.faults.test_expiry_crashes import EXPIRY
    from tests.faults.test_health_crashes import HEALTH
    from tests.faults.test_pull_crashes import PULL
    from tests.faults.test_replay_crashes import REPLAY
    from tests.faults.test_segment_crashes import SEGMENTS

    assert sorted([*SPEED, *BATCH, *COLLECTOR, *SEGMENTS, *REPLAY, *PULL, *EXPIRY, *HEALTH]) == sorted(CRASH_POINTS)


def run(code: str, armed: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, VARIABLE: armed}
    return subprocess.run([sys.executable, "-c", code], env=environment, cwd=TREE, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("armed", "code"), [("", 0), ("speed.ledger_written", 0), ("speed.epoch_started", -signal.SIGKILL), ("speed.epoch_started:2", -signal.SIGKILL), ("speed.epoch_started:3", 0)])
def test_a_process_dies_at_the_armed_point_at_the_armed_hit_and_nowhere_else(armed, code):
    ended = run("from millrace.faults import crash_point\nfor _ in range(2): crash_point('speed.epoch_started')\nprint('lived')", armed)
    assert (ended.returncode, "lived" in ended.stdout) == (code, code == 0)


@pytest.mark.parametrize(("armed", "sentence"), [("speed.epoch_startet", "which no code reaches"), ("speed.epoch_started:x", "write a number")])
def test_a_misspelt_crash_point_is_told_rather_than_never_hit(armed, sentence):
    ended = run("import millrace.faults", armed)
    assert ended.returncode != 0
    assert sentence in ended.stderr
