"""One local system for all clients, and its log."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from millrace.tables.delta import TenantTables
from tests.jobs.local_system import LocalSystem

ORDERS = {"event": ["Order Completed", "order_completed"]}
TRAITS = {
    "orders": {**ORDERS, "op": "count"},
    "spend": {**ORDERS, "op": "sum", "value": "properties.revenue"},
    "plan": {"type": "identify", "op": "last", "value": "traits.plan"},
}
Messages = list[dict[str, Any]]


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSystem]:
    """All of Millrace, counting the orders of the story."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "definitions").mkdir()
    (folder / "definitions" / "views.yml").write_text(yaml.safe_dump({"person": {"key": "node", "traits": TRAITS}}), encoding="utf-8")
    running = LocalSystem(folder / "root", "--batch-every", "0", "--definitions", str(folder / "definitions"))
    running.wait_until_ready()
    yield running
    if running.end() != 0:
        running.destroy()


@pytest.fixture
def messages_of(system: LocalSystem) -> Callable[[str], Messages]:
    """``messages_of(user)``: the messages in the log that name the user, once answers hold them."""

    def read(user: str) -> Messages:
        system.wait_until_read()
        payloads = TenantTables(system.root, "shop").read("log/events")["payload"].to_pylist()
        return [json.loads(payload) for payload in payloads if user in (payload if isinstance(payload, str) else payload.decode())]

    return read


