"""A tenant written by hand, and stores over it. Bases are built in this process: one test starts the real child."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from millrace.definitions import Definitions
from millrace.settings import ApiSettings
from millrace.tables.manifest import Manifest
from millrace.traits.finish import micros
from serving.store.base_building import build_base
from serving.store.base_folders import BaseFolders
from serving.store.store import Store
from tests.serving.store.by_hand import DEFINITIONS, SECRET, HandMade

NOW = micros(datetime(2025, 1, 10, 12, 30, tzinfo=UTC))
PATIENCE_S = 60.0
StartStore = Callable[..., Store]


@pytest.fixture
def tenant(tmp_path: Path) -> HandMade:
    return HandMade(tmp_path)


@pytest.fixture
def builds_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(folders: BaseFolders, draft: Path, manifest: Manifest) -> None:
        build_base(folders._tables, manifest, draft)

    monkeypatch.setattr(BaseFolders, "_run_child", run)


@pytest.fixture
def start_store(tmp_path: Path, builds_in_process: None) -> Iterator[StartStore]:
    """Starts stores that are closed after the test; they tell the time as ``NOW`` and are ready when returned (unless told not to wait)."""
    started: list[Store] = []

    def start(definitions: Definitions = DEFINITIONS, *, wait: bool = True) -> Store:
        store = Store(tmp_path, "t", definitions, secret=SECRET, clock=lambda: NOW, settings=ApiSettings(poll=0.005)).start()
        started.append(store)
        if wait and not store.wait_ready(PATIENCE_S):
            raise AssertionError(store.status())
        return store

    yield start
    for store in started:
        store.close()


def wait_until(condition: Callable[[], bool]) -> None:
    """Returns when the condition holds; fails when it does not in a minute."""
    until = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < until, "the condition never held"
        time.sleep(0.005)
