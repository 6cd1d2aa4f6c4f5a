"""A broker that is silent for longer than the collector waits: every client sends again by itself, nothing is lost, and nothing counts twice."""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx
import pytest

from millrace.local.broker import Broker
from tests.clients.senders import BROWSER, NODE, PYTHON, STORIES, telling
from tests.clients.stories import check_story
from tests.serving.collector.running import RunningCollector, eventually, frozen, log_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
TURNED_AWAY = re.compile(r'^collector_requests_total\{call="\w+",outcome="(?:broker_unavailable|queue_full)"\} (\d+)', re.MULTILINE)


@pytest.fixture(scope="module")
def silent_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of this module's own, which it stops for a while."""
    with Broker(tmp_path_factory.mktemp("silent")) as broker:
        yield broker


def turned_away(collector: RunningCollector) -> int:
    return sum(int(float(number)) for number in TURNED_AWAY.findall(httpx.get(f"{collector.url}/metrics", timeout=60).text))


@pytest.mark.parametrize("clients", [PYTHON, pytest.param(NODE, marks=pytest.mark.node), pytest.param(BROWSER, marks=pytest.mark.browser)], ids=["python", "node", "browser"])
def test_a_client_loses_nothing_and_says_nothing_twice_over_an_outage(clients, silent_broker, tmp_path, request):
    tenant = f"t{request.node.callspec.id}"
    with RunningCollector(tmp_path, tenant, silent_broker.bootstrap).wait_until_ready() as collector, ThreadPoolExecutor() as threads:

        def messages() -> dict[str, list[dict]]:
            """By client, each message id once: what the speed layer counts."""
            once = {message["messageId"]: message for message in (json.loads(record.value) for record in log_of(collector))}
            return {client: [message for message in once.values() if f"u-{client}" in json.dumps(message)] for client in clients}

        def tell(client: str) -> None:
            with telling(client, collector.url, collector.keys.write_key, f"u-{client}", leaves=False):
                thawed.wait()
                eventually(lambda: len(messages()[client]) >= len(STORIES[client](f"u-{client}")), 240)

        thawed = Event()
        with frozen(silent_broker):
            told = [threads.submit(tell, client) for client in clients]
            eventually(lambda: turned_away(collector) >= len(clients), 120)
        thawed.set()
        for each in told:
            each.result()
        found = messages()

    for client in clients:
        check_story(found[client], STORIES[client](f"u-{client}"))
