"""One keep-alive HTTP connection to the collector or the API: JSON in, JSON out, patient with a server that is busy. Sender and story call it.

Again is tried after 429, 503 (as long as `Retry-After` says) and after a lost connection; so a call must be safe to repeat, as all of the demo's are.
"""

import base64
import gzip
import http.client
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay

from millrace.errors import MillraceError

BUSY = (429, 503)
PATIENCE_S = 120.0
TIMEOUT_S = 300.0
LARGEST_WAIT_S = 30.0


class RequestRefused(MillraceError):
    """The server answered with a status that trying again does not change; ``status`` is that status."""

    def __init__(self, message: str, *, status: int) -> None:
        self.status = status
        super().__init__(message)


class ServerBusy(MillraceError):
    """The server did not take the request now; ``wait_s`` is when to come again."""

    def __init__(self, message: str, *, wait_s: float) -> None:
        self.wait_s = wait_s
        super().__init__(message)


@dataclass(frozen=True)
class Answer:
    """A 2xx answer: its bytes and how often the request was repeated before."""

    body: bytes
    retries: int


def basic(write_key: str) -> str:
    """Authorization of a source: the write key as user name, no password."""
    return "Basic " + base64.b64encode(f"{write_key}:".encode()).decode()


class JsonClient:
    """Calls to one server over one connection, for one thread. ``authorization`` is the header's whole value."""

    def __init__(self, address: str, authorization: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        url = urlsplit(address if "//" in address else f"//{address}")
        if not url.hostname or not url.port:
            raise MillraceError(f"{address!r} is no server address; expected host:port or http://host:port")
        self._connection = http.client.HTTPConnection(url.hostname, url.port, timeout=TIMEOUT_S)
        self._headers = {"Authorization": authorization, "Content-Type": "application/json"}
        self._sleep = sleep

    def get(self, path: str) -> Any:
        return json.loads(self.get_bytes(path))

    def get_bytes(self, path: str) -> bytes:
        return self._patiently("GET", path, None, {}).body

    def post(self, path: str, body: Any) -> Any:
        return json.loads(self._patiently("POST", path, json.dumps(body).encode(), {}).body)

    def post_compressed(self, path: str, body: bytes) -> Answer:
        """``body`` is JSON text; it travels as gzip."""
        return self._patiently("POST", path, gzip.compress(body, compresslevel=1), {"Content-Encoding": "gzip"})

    def close(self) -> None:
        self._connection.close()

    def _patiently(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        attempts = Retrying(retry=retry_if_exception_type(ServerBusy), stop=stop_after_delay(PATIENCE_S), wait=_wait, sleep=self._sleep, reraise=True)
        for attempt in attempts:
            with attempt:
                answer = self._once(method, path, body, headers)
        return Answer(answer, attempts.statistics["attempt_number"] - 1)

    def _once(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> bytes:
        try:
            self._connection.request(method, path, body, self._headers | headers)
            response = self._connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise ServerBusy(
                f"{method} {path}: the connection was lost ({type(error).__name__}: {error}); is the local system still running?", wait_s=0.5
            ) from error
        if response.status in BUSY:
            raise ServerBusy(
                f"{method} {path}: status {response.status} for {PATIENCE_S:g} s: {_short(text)}", wait_s=retry_after(response.headers.get("Retry-After"))
            )
        if not 200 <= response.status < 300:
            raise RequestRefused(f"{method} {path}: status {response.status}: {_short(text)}", status=response.status)
        return text


def retry_after(header: str | None) -> float:
    """Seconds of a `Retry-After` header, 1 when it is missing or a date, never more than 30."""
    try:
        return min(max(float(header or 1), 0.0), LARGEST_WAIT_S)
    except ValueError:
        return 1.0


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return error.wait_s if isinstance(error, ServerBusy) else 1.0


def _short(text: bytes) -> str:
    return text[:300].decode("utf-8", "replace")
