"""The running job: real process, real socket, real child process for the base. Tables are written by hand, so no JVM and no broker."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import yaml

from millrace.definitions import load_definitions
from millrace.identity.nodes import node_of
from millrace.keys import load_or_create_keys
from tests.serving.store.by_hand import TRAITS, HandMade, Order
from tests.serving.store.stores import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]
REPOSITORY = Path(__file__).resolve().parents[3]
ODD = "a/b:c?d#é +1%2F"


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "views.yml").write_text(yaml.safe_dump({"person": {"key": "node", "traits": TRAITS}}), encoding="utf-8")
    return folder


@contextmanager
def running(root: Path, definitions: Path) -> Iterator[httpx.Client]:
    """A client of the job with the read key; the job must end well when told to."""
    argv = [sys.executable, "-m", "jobs.serve_profiles", "--root", str(root), "--tenant", "t", "--definitions", str(definitions), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        try:
            ready = json.loads(job.stdout.readline())
            key = load_or_create_keys(root, "t").read_key
            with httpx.Client(base_url=ready["api"], headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
                yield client
            job.terminate()
            assert job.wait(30) == 0
            assert "a/b" not in (said := job.stderr.read()) and "Traceback" not in said
        finally:
            job.kill()


def test_the_job_serves_before_any_table_exists_and_follows_what_comes(tmp_path: Path, definitions: Path) -> None:
    with running(tmp_path, definitions) as api:
        assert (api.get("/readyz").status_code, api.get("/readyz").json()["head"]) == (200, 0)
        path = f"/v1/profiles/user_id:{quote(ODD, safe='')}"
        assert api.get(path).status_code == 404
        tenant = HandMade(tmp_path, load_definitions(definitions))
        node = node_of("user_id", ODD, load_or_create_keys(tmp_path, "t").token_secret) or ""
        tenant.write(Order(node, revenue="3"))
        wait_until(lambda: api.get(path).status_code == 200)
        before = api.get(f"{path}?as_of=2025-01-11T00:00:00Z")
        tenant.publish(cut=1)
        wait_until(lambda: api.get("/v1/status").json()["manifest_id"] == 1)
        after = api.get(f"{path}?as_of=2025-01-11T00:00:00Z").json()
        assert ({trait["layer"] for trait in after["traits"].values()}, after["traits"]["spend"]["value"]) == ({"batch", None}, "3")
        assert {name: trait["value"] for name, trait in after["traits"].items()} == {name: trait["value"] for name, trait in before.json()["traits"].items()}
        assert api.get(f"/v1/receipts/{before.json()['receipt']['id']}:replay").content == before.content
    with running(tmp_path, definitions) as api:
        assert api.get(path).json()["traits"]["spend"]["value"] == "3"


def test_wrong_definitions_start_nothing(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "jobs.serve_profiles", "--root", str(tmp_path), "--definitions", str(tmp_path)]
    ended = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "views.yml is missing" in ended.stderr
