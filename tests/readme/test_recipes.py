"""The recipes of README.md, run as they stand there against a running system: what a reader types works, and shows what the text says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]
TREE = Path(__file__).resolve().parents[2]
README = (TREE / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PYTHON = [code for language, code in BLOCKS if language == "python"]
CURL = [code for language, code in BLOCKS if language == "sh" and "curl " in code]
ELSEWHERE = ("make demo\nmake test\n", "make dist\n")
"""Blocks that start so run elsewhere: the demo and the tests themselves, and the submit in tests/cluster."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """What `make run` starts, in a folder of its own and on free ports: the folder and what the ready line says."""
    folder = tmp_path_factory.mktemp("reader")
    free = ["--collector", "127.0.0.1:0", "--api", "127.0.0.1:0"]
    with open(folder / "run_local.log", "wb") as log:
        command = [sys.executable, "-m", "jobs.run_local", "--root", "data", *free, "--batch-every", "0", "--set", "collector.max_batch_events=7"]
        process = subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONPATH": str(TREE)}, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        line = process.stdout.readline()
        assert line, (folder / "run_local.log").read_text()
        yield folder, json.loads(line)
        process.terminate()
        assert process.wait(120) == 0
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def answers(system: tuple[Path, dict[str, str]]) -> list[dict]:
    """What the curl recipe prints, line by line."""
    folder, ready = system
    (recipe,) = CURL
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environ = os.environ | {"PATH": path, "COLLECTOR": ready["collector"], "API": ready["api"]}
    ran = subprocess.run(["bash", "-euo", "pipefail", "-c", recipe], cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def run_python(code: str, folder: Path) -> str:
    ran = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_every_block_of_code_is_run_by_a_test() -> None:
    others = [code for _, code in BLOCKS if code not in (*PYTHON, *CURL)]
    assert (len(PYTHON), len(CURL)) == (2, 1)
    assert [code for code in others if not code.startswith(ELSEWHERE)] == []


def test_an_event_sent_with_curl_is_in_the_profile_and_a_batch_is_published(answers: list[dict]) -> None:
    sent, profile, batch = answers
    assert sent == {"success": True}
    assert profile["traits"]["revenue_total"]["value"] == "12.5"
    assert (batch["status"], batch["is_served"]) == ("ok", True)


def test_a_setting_given_to_run_local_holds_in_its_parts(system: tuple[Path, dict[str, str]]) -> None:
    _, ready = system
    message = {"type": "track", "userId": "u2", "event": "Seen"}
    answer = httpx.post(f"{ready['collector']}/v1/batch", json={"batch": [message] * 8}, auth=(ready["write_key"], ""))
    assert "allowed 1 to 7" in answer.json()["message"]


def test_what_the_text_shows_of_the_answers_is_what_they_begin_with(answers: list[dict]) -> None:
    (shown,) = (block for block in re.findall(r"^```text\n(.*?)^```", README, re.MULTILINE | re.DOTALL) if block.startswith('{"success"'))
    shapes = [re.sub(r'("\w+"|\d+|null|"[^"]*")', "", line.rstrip(" …")) for line in shown.splitlines()]
    printed = [re.sub(r'("\w+"|\d+|null|"[^"]*")', "", json.dumps(answer, ensure_ascii=False, separators=(",", ":"))) for answer in answers]
    assert [real.startswith(shape.replace(": ", ":")) for shape, real in zip(shapes, printed, strict=True)] == [True] * 3


def test_the_serving_table_opens_in_pandas(answers: list[dict], system: tuple[Path, dict[str, str]]) -> None:
    (recipe,) = (code for code in PYTHON if "to_pandas" in code)
    printed = run_python(recipe, system[0])
    assert answers[1]["id"] in printed and "12.5" in printed


def test_the_serving_table_opens_in_duckdb_with_its_own_delta_extension(answers: list[dict], system: tuple[Path, dict[str, str]]) -> None:
    (recipe,) = (code for code in PYTHON if "delta_scan" in code)
    assert re.search(r"│\s+1 │\s+12\.500000000 │", run_python(recipe, system[0]))
