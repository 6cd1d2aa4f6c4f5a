"""All of Millrace on one machine, for real: it becomes ready, survives the death of any part, follows its definitions, and leaves nothing running."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from millrace.local.one_system import only_system
from tests.jobs.local_system import PARTS, LocalSystem, Sender, is_gone, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
KILLED = [part for part in PARTS if part != "broker"]
"""The Java of the broker is the broker; the process above it only waits for it."""
Start = Callable[..., LocalSystem]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts systems on one root, one after the other; each is ready when returned. Nothing is built but what a test asks for."""
    started: list[LocalSystem] = []

    def start(*options: str) -> LocalSystem:
        started.append(LocalSystem(tmp_path / "root", "--batch-every", "0", *options))
        started[-1].wait_until_ready()
        return started[-1]

    yield start
    for system in started:
        system.destroy()


def orders(system: LocalSystem, sent: dict[str, int]) -> dict[str, int]:
    return {user: system.trait(user, "orders_count") for user in sent}


def test_any_part_may_be_killed_at_any_time_and_every_acknowledged_message_counts_once(start: Start) -> None:
    system = start()
    assert set(system.ready) == {"ready", "collector", "api", "kafka", "write_key", "read_key", "admin_key"}
    assert system.is_ready() and set(system.processes()) == set(PARTS)
    sender = Sender(system.ready["collector"], system.ready["write_key"])
    sender.start()
    for part in KILLED:
        before = sender.acknowledged.total()
        system.kill(part)
        until(f"everything is ready after the death of {part}", system.is_ready)
        until(f"messages are acknowledged after the death of {part}", lambda before=before: sender.acknowledged.total() > before + 50)
        system.wait_until_read()
    sent = sender.stop()
    system.wait_until_read()
    assert sender.repeated > 0 and system.api.get("/v1/status").json()["log"]["duplicate"] > 0
    assert orders(system, sent) == sent
    assert system.build()["status"] == "ok"
    assert orders(system, sent) == sent
    assert {system.profile(user)["traits"]["orders_count"]["layer"] for user in sent} == {"batch"}
    assert system.end() == 0


def define(folder: Path, **traits: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "views.yml").write_text(yaml.safe_dump({"person": {"key": "node", "traits": traits}}), encoding="utf-8")


def test_changed_definitions_are_filled_back_by_the_next_start_and_nothing_is_answered_wrongly_meanwhile(start: Start, tmp_path: Path) -> None:
    folder, order = tmp_path / "definitions", {"event": "Order Completed"}
    count, spend, largest = {**order, "op": "count"}, {**order, "op": "sum", "value": "properties.revenue"}, {**order, "op": "max", "value": "properties.revenue"}
    define(folder, orders_count=count)
    system = start("--definitions", str(folder))
    sender = Sender(system.ready["collector"], system.ready["write_key"])
    sender.start()
    until("some messages are acknowledged", lambda: sender.acknowledged.total() > 20)
    sent = sender.stop()
    system.wait_until_read()
    assert orders(system, sent) == sent

    define(folder, spend=spend)  # nothing is published and the log knows another trait: ready means that it is filled back
    until("every part is there", lambda: set(system.processes()) == set(PARTS))
    left = system.destroy()
    system = start("--definitions", str(folder))
    assert len(left) >= len(PARTS) and all(map(is_gone, left))  # a part may be running a program of its own for a moment
    assert {user: system.trait(user, "spend") for user in sent} == {user: str(number) for user, number in sent.items()}
    assert "reason=nothing is served yet: epoch 1 was written under other definitions" in system.said()
    assert system.end() == 0

    define(folder, spend=spend, largest=largest)  # the published version serves on until the one with the new trait is there
    system = start("--definitions", str(folder))
    assert {user: system.trait(user, "spend") for user in sent} == {user: str(number) for user, number in sent.items()}
    until("the new trait is answered", lambda: system.trait("u0", "largest") is not None)
    assert {user: (system.trait(user, "spend"), system.trait(user, "largest")) for user in sent} == {user: (str(number), "1") for user, number in sent.items()}
    assert system.profile("u0")["receipt"]["complete"] is True
    assert system.end() == 0


def test_a_second_system_on_the_same_root_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with only_system(tmp_path):
        refused = subprocess.run([sys.executable, "-m", "jobs.run_local", "--root", str(tmp_path)], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert f"process {os.getpid()} already runs a local system on {tmp_path}; stop it, or give another --root" in refused.stderr


def test_definitions_that_are_missing_are_named_before_anything_starts(tmp_path: Path) -> None:
    options = ["--root", str(tmp_path), "--definitions", str(tmp_path / "nowhere")]
    refused = subprocess.run([sys.executable, "-m", "jobs.run_local", *options], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "views.yml is missing" in refused.stderr
    assert not (tmp_path / "broker").exists()
