"""The running collector against a real broker: what is acknowledged is in the topic, whatever happens to the broker or to the process."""

import gzip
import json
import signal
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest

from millrace.identity.nodes import node_of
from millrace.local.broker import Broker
from tests.serving.collector.running import REPOSITORY, RunningCollector, eventually, frozen, ids_in_log, log_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def own_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """For tests that stop it: they leave it running."""
    with Broker(tmp_path_factory.mktemp("own")) as broker:
        yield broker


@pytest.fixture
def tenant(request: pytest.FixtureRequest) -> str:
    return f"t{zlib.crc32(request.node.name.encode())}"


@pytest.fixture
def in_background() -> Iterator[Callable[..., Future]]:
    with ThreadPoolExecutor() as threads:
        yield threads.submit


def test_acknowledged_events_are_in_the_topic_as_sent(broker, tmp_path, tenant):
    texts = [b'{"type":"track","messageId":"m%d", "userId":"user %d","event":"k\xc3\xb6p","properties":{"n":1.50}}' % (n, n % 7) for n in range(500)]
    with RunningCollector(tmp_path, tenant, broker.bootstrap).wait_until_ready() as collector:
        answer = collector.client.post("/v1/batch", content=gzip.compress(b'{"batch":[%s]}' % b",".join(texts)), headers={"Content-Encoding": "gzip"})
        records = log_of(collector)

    assert answer.json() == {"success": True}
    assert sorted(record.value for record in records) == sorted(texts)
    assert {tuple(record.headers) for record in records} == {(("source", b"http"),)}
    assert all(record.timestamp_type == 1 for record in records)  # the broker's own time of appending
    for record in records:
        assert record.key.decode() == node_of("user_id", json.loads(record.value)["userId"], collector.keys.token_secret)


def test_retry_lands_in_the_partition_of_the_first_attempt(broker, tmp_path, tenant):
    with RunningCollector(tmp_path, tenant, broker.bootstrap).wait_until_ready() as collector:
        for attempt in range(2):
            for user in range(8):
                assert collector.track(f"m{user}", f"user {user}").status_code == 200, attempt
        places = {(json.loads(record.value)["messageId"], record.partition) for record in log_of(collector)}

    assert len(places) == 8
    assert {partition for _, partition in places} == {0, 1}


def test_large_requests_are_refused_over_a_socket(broker, tmp_path, tenant):
    with RunningCollector(tmp_path, tenant, broker.bootstrap).wait_until_ready() as collector:
        declared = collector.client.post("/v1/batch", content=b" " * 5_000_000)
        chunked = collector.client.post("/v1/batch", content=iter([b" " * 100_000] * 50))
        after = collector.track("m1")

    assert (declared.status_code, chunked.status_code, after.status_code) == (413, 413, 200)


def test_collector_starts_without_a_broker_and_finds_it_later(tmp_path, tenant):
    broker = Broker(tmp_path / "late")
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        broker.port = reserved.getsockname()[1]
    with RunningCollector(tmp_path, tenant, f"127.0.0.1:{broker.port}") as collector:
        assert collector.client.get("/healthz").status_code == 200
        assert collector.client.get("/readyz").status_code == 503
        answer = collector.track("m1")
        assert (answer.status_code, answer.json()["error"]) == (503, "broker_unavailable")
        assert int(answer.headers["Retry-After"]) >= 1
        with broker:
            collector.wait_until_ready()
            assert collector.track("m1").status_code == 200
            assert ids_in_log(collector) == ["m1"]


def test_nothing_is_acknowledged_falsely_while_the_broker_crashes(own_broker, tmp_path, tenant):
    acknowledged: set[str] = set()
    answers: set[int] = set()
    done = threading.Event()

    def send(collector: RunningCollector, sender: int) -> None:
        number = 0
        while not done.is_set():
            number += 1
            status = collector.track(f"{sender}-{number}", f"user {number}").status_code
            answers.add(status)
            if status == 200:
                acknowledged.add(f"{sender}-{number}")

    with RunningCollector(tmp_path, tenant, own_broker.bootstrap).wait_until_ready() as collector:
        threads = [threading.Thread(target=send, args=(collector, sender)) for sender in range(8)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(acknowledged) > 200)
        own_broker.kill()
        eventually(lambda: 503 in answers)
        assert collector.track("refused").headers["Retry-After"]
        assert collector.client.get("/readyz").status_code == 503
        own_broker.start()
        before = len(acknowledged)
        eventually(lambda: len(acknowledged) > before + 200)
        done.set()
        for thread in threads:
            thread.join()
        in_log = ids_in_log(collector)

    assert answers == {200, 503}
    assert acknowledged <= set(in_log)


def test_full_queue_is_answered_503_and_empties_again(own_broker, tmp_path, tenant, in_background):
    with RunningCollector(tmp_path, tenant, own_broker.bootstrap, "--queue", "1").wait_until_ready() as collector:
        with frozen(own_broker):
            first = in_background(collector.track, "m1")
            eventually(lambda: collector.client.get("/readyz").json()["queued"] == 1)
            second = collector.track("m2")
            assert collector.client.get("/readyz").status_code == 503
        assert (second.status_code, second.json()["error"]) == (503, "queue_full")
        assert int(second.headers["Retry-After"]) >= 1
        assert first.result().status_code == 200
        assert collector.wait_until_ready().track("m3").status_code == 200
        assert sorted(ids_in_log(collector)) == ["m1", "m3"]


def test_silent_broker_is_answered_503_in_bounded_time_and_taken_back(own_broker, tmp_path, tenant):
    with RunningCollector(tmp_path, tenant, own_broker.bootstrap).wait_until_ready() as collector:
        with frozen(own_broker):
            late = collector.track("m1")
        assert (late.status_code, late.json()["error"]) == (503, "broker_unavailable")
        eventually(lambda: collector.track("m1").status_code == 200)
        assert set(ids_in_log(collector)) == {"m1"}


def test_sigterm_answers_what_is_in_flight_and_exits_with_0(own_broker, tmp_path, tenant, in_background):
    with RunningCollector(tmp_path, tenant, own_broker.bootstrap).wait_until_ready() as collector:
        with frozen(own_broker):
            in_flight = in_background(collector.track, "m1")
            eventually(lambda: collector.client.get("/readyz").json()["queued"] == 1)
            collector.process.terminate()
            eventually(lambda: is_refused(collector.url))
            assert collector.process.poll() is None
        assert in_flight.result().status_code == 200
        assert collector.process.wait(60) == 0
        assert ids_in_log(collector) == ["m1"]


def is_refused(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_without_a_broker_exits_with_0(tmp_path, tenant):
    with RunningCollector(tmp_path, tenant, "127.0.0.1:9") as collector:
        assert collector.stop() == 0


@pytest.mark.parametrize(("place", "in_log"), [("collector.accepted:2", ["m1"]), ("collector.acknowledged:2", ["m1", "m2"])])
def test_crash_leaves_what_was_acknowledged_in_the_topic(place, in_log, broker, tmp_path, tenant):
    with RunningCollector(tmp_path, tenant, broker.bootstrap, crash_at=place).wait_until_ready() as collector:
        assert collector.track("m1").status_code == 200
        with pytest.raises(httpx.HTTPError):
            collector.track("m2")
        assert collector.process.wait(60) == -signal.SIGKILL
        assert sorted(ids_in_log(collector)) == in_log


@pytest.mark.parametrize("option", [("--listen", "nowhere"), ("--listen", "127.0.0.1:99999")])
def test_wrong_options_end_with_one_sentence(option, tmp_path):
    command = [sys.executable, "-m", "jobs.collect_events", "--root", str(tmp_path), "--tenant", "t", "--kafka", "127.0.0.1:9", *option]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr
    assert "host:port" in ended.stderr
