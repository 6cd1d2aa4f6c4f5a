"""The sender against a small HTTP server that refuses, delays and drops as a busy collector may."""

import gzip
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from millrace.demo.client import JsonClient, RequestRefused, basic, retry_after
from millrace.demo.events import Event
from millrace.demo.sender import Sender, batch_body, batches


class FakeCollector(ThreadingHTTPServer):
    """Answers each request with the next of ``script`` (status, Retry-After), 200 when it is empty; keeps what it took."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[tuple[int, str | None]] = []
        self.taken: list[dict] = []
        self.authorizations: set[str] = set()
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: FakeCollector
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            status, wait = self.server.script.pop(0) if self.server.script else (200, None)
            self.server.authorizations.add(self.headers["Authorization"])
            if status == 200:
                self.server.taken.extend(json.loads(body)["batch"])
        if status == 0:
            self.connection.close()
            self.close_connection = True
            return
        self.send_response(status)
        if wait is not None:
            self.send_header("Retry-After", wait)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[FakeCollector]:
    server = FakeCollector()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def event(household: int, number: int) -> Event:
    return Event(str(household), datetime(2017, 1, 1, tzinfo=UTC), json.dumps({"userId": str(household), "number": number}))


def test_every_event_arrives_once_and_each_household_in_order(collector: FakeCollector) -> None:
    events = [event(household, number) for number in range(100) for household in range(7)]

    with Sender(collector.address, "wk", connections=3) as sender:
        sent = sender.send(events)

    assert sent.events == 700
    assert len(collector.taken) == 700
    for household in range(7):
        assert [message["number"] for message in collector.taken if message["userId"] == str(household)] == list(range(100))


def test_busy_collector_is_asked_again_when_it_says(collector: FakeCollector) -> None:
    collector.script = [(503, "7"), (429, None)]
    waits: list[float] = []

    answer = JsonClient(collector.address, basic("wk"), sleep=waits.append).post_compressed("/v1/batch", batch_body([event(1, 1)]))

    assert waits == [7.0, 1.0]
    assert answer.retries == 2
    assert len(collector.taken) == 1


def test_lost_connection_is_opened_again(collector: FakeCollector) -> None:
    collector.script = [(0, None)]

    with Sender(collector.address, "wk", connections=1) as sender:
        sent = sender.send([event(1, 1)])

    assert (sent.events, sent.retries, len(collector.taken)) == (1, 1, 1)


def test_refused_batch_ends_the_sending_with_its_status(collector: FakeCollector) -> None:
    collector.script = [(400, None)]

    with Sender(collector.address, "wk", connections=1) as sender, pytest.raises(RequestRefused, match="status 400") as caught:
        sender.send([event(1, number) for number in range(400)])

    assert caught.value.status == 400
    assert collector.taken == []


def test_write_key_is_the_user_name_of_basic_authorization(collector: FakeCollector) -> None:
    with Sender(collector.address, "wk", connections=1) as sender:
        sender.send([event(1, 1)])

    assert collector.authorizations == {"Basic d2s6"}


def test_batches_end_before_either_limit() -> None:
    one = event(1, 1)

    assert [len(batch) for batch in batches([one] * 5, most_events=2)] == [2, 2, 1]
    assert [len(batch) for batch in batches([one] * 3, most_bytes=2 * (len(one.message) + 1))] == [2, 1]
    assert [len(batch) for batch in batches([one] * 2, most_bytes=1)] == [1, 1]


def test_batch_keeps_each_message_byte_for_byte() -> None:
    odd = Event("1", datetime(2017, 1, 1, tzinfo=UTC), '{ "userId" : "1", "price": 1.10, "city":"Köln" }')

    assert batch_body([odd, odd]) == f'{{"batch":[{odd.message},{odd.message}]}}'.encode()


@pytest.mark.parametrize(("header", "seconds"), [("3", 3.0), (None, 1.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 1.0), ("9999", 30.0), ("-1", 0.0)])
def test_retry_after_is_bounded(header: str | None, seconds: float) -> None:
    assert retry_after(header) == seconds
