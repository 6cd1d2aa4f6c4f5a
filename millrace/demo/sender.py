"""Events to the collector over several connections. Enters: messages in time order; leaves: what was acknowledged. The story calls it.

A household's messages always travel over the same connection, one batch after the other, so their order in the log is their order in time.
"""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from zlib import crc32

from millrace.demo.client import JsonClient, basic
from millrace.demo.events import Event

CONNECTIONS = 4
BATCH_EVENTS = 150
BATCH_BYTES = 400_000
"""The Segment limit of a batch is 500 kB."""


@dataclass(frozen=True)
class Sent:
    """What the collector acknowledged: events, requests, repeated requests, bytes before compression."""

    events: int = 0
    requests: int = 0
    retries: int = 0
    payload_bytes: int = 0

    def __add__(self, other: "Sent") -> "Sent":
        return Sent(self.events + other.events, self.requests + other.requests, self.retries + other.retries, self.payload_bytes + other.payload_bytes)


class Sender:
    """Open connections to one collector; use as a context. ``on_sent`` hears the number of events of every acknowledged batch (from any thread)."""

    def __init__(self, collector: str, write_key: str, *, connections: int = CONNECTIONS, on_sent: Callable[[int], None] = lambda count: None) -> None:
        self._clients = [JsonClient(collector, basic(write_key)) for _ in range(connections)]
        self._on_sent = on_sent
        self._stop = threading.Event()

    def __enter__(self) -> "Sender":
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients:
            client.close()

    def send(self, events: Iterable[Event]) -> Sent:
        """All events, acknowledged; the first batch that is refused or not taken in time ends the call with its error."""
        lanes: list[list[Event]] = [[] for _ in self._clients]
        for event in events:
            lanes[lane_of(event.household, len(lanes))].append(event)
        self._stop.clear()
        with ThreadPoolExecutor(len(lanes), thread_name_prefix="demo-sender") as pool:
            return sum(pool.map(self._send_lane, self._clients, lanes), Sent())

    def _send_lane(self, client: JsonClient, events: list[Event]) -> Sent:
        total = Sent()
        for batch in batches(events):
            if self._stop.is_set():
                break
            body = batch_body(batch)
            try:
                answer = client.post_compressed("/v1/batch", body)
            except BaseException:
                self._stop.set()
                raise
            total += Sent(len(batch), 1, answer.retries, len(body))
            self._on_sent(len(batch))
        return total


def lane_of(household: str, lanes: int) -> int:
    """The connection of a household, the same in every run."""
    return crc32(household.encode()) % lanes


def batches(events: Sequence[Event], *, most_events: int = BATCH_EVENTS, most_bytes: int = BATCH_BYTES) -> Iterable[list[Event]]:
    """The events in order, cut before a batch grows over either limit; one event over the limit travels alone."""
    batch: list[Event] = []
    size = 0
    for event in events:
        length = len(event.message.encode()) + 1
        if batch and (len(batch) == most_events or size + length > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += length
    if batch:
        yield batch


def batch_body(events: Iterable[Event]) -> bytes:
    """The messages as one Segment batch, each byte for byte as it is."""
    return b'{"batch":[' + b",".join(event.message.encode() for event in events) + b"]}"
