"""A collector without a broker: a producer that keeps records in memory, and a client over it. The tests with a real broker start real processes."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence

import pytest
from httpx import Response
from starlette.testclient import TestClient

from millrace.keys import TenantKeys
from serving.collector.app import build_app
from serving.collector.publishing import Readiness, Record

KEYS = TenantKeys(write_key="wk_test", read_key="rk_test", admin_key="ak_test", token_key="5a" * 32)


class MemoryProducer:
    """Acknowledges at once and keeps everything in ``records``; ``failure`` is what it raises instead, or fails its futures with (``late``)."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.sources: list[str] = []
        self.stamps: list[bytes] = []
        self.failure: Exception | None = None
        self.late = False
        self.broker_answers = True
        self.closed = False

    async def start(self) -> None:
        self.closed = False

    def publish(self, records: Sequence[Record], source: str, stamps: Sequence[bytes] | None = None) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        if self.failure is None:
            self.records += records
            self.sources.append(source)
            self.stamps += stamps or []
            future.set_result(None)
        elif self.late:
            future.set_exception(self.failure)
        else:
            raise self.failure
        return future

    def readiness(self) -> Readiness:
        return Readiness(self.broker_answers, 0, 100)

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def keys() -> TenantKeys:
    return KEYS


@pytest.fixture
def producer() -> MemoryProducer:
    return MemoryProducer()


@pytest.fixture
def client(producer: MemoryProducer) -> Iterator[TestClient]:
    """Sends with the write key by basic auth; a fault in the collector comes back as 500, as it would over a socket."""
    with TestClient(build_app(producer, KEYS), raise_server_exceptions=False) as client:
        client.auth = ("wk_test", "")
        yield client


@pytest.fixture
def stranger(producer: MemoryProducer) -> Iterator[TestClient]:
    """A client that sends no key of its own accord."""
    with TestClient(build_app(producer, KEYS), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def post(client: TestClient) -> Callable[..., Response]:
    """``post("track", {...})``: a call with a Python value, or with bytes as they are."""

    def send(call: str, content: object, **options: object) -> Response:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return client.post(f"/v1/{call}", content=body, **options)

    return send
