"""Connector of an HTTP API that answers with JSON, page by page: by page number, offset, cursor or the link to the next. Its one part is the address.

With ``since`` a run asks for what is new from the largest value that was taken; otherwise it reads all pages. A page that fails is asked for again, a run that fails begins at its first page.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec
import pyarrow as pa
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from batch.sources.connector import Batch, Position, SourceUnavailable, Unreadable
from batch.sources.json_columns import json_table
from batch.sources.values import from_json
from millrace.errors import ConfigurationError
from millrace.events.pulls import HttpPull
from millrace.events.webhooks import at_pointer, pointer_steps

_ATTEMPTS, _LONGEST_WAIT_S = 5, 60
_RETRIED = {408, 425, 429, 500, 502, 503, 504}
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Again(Exception):
    """An answer that may be another one soon; after how many seconds the server says."""

    def __init__(self, said: str, after_s: float | None = None) -> None:
        super().__init__(said)
        self.after_s = after_s


class Pages:
    """Reads an address. The token is asked of the environment when it is read, and sent to no other host."""

    def __init__(self, pull: HttpPull) -> None:
        self._pull = pull
        if pull.token_env and pull.token_env not in os.environ:
            raise ConfigurationError(f"the environment variable {pull.token_env} is not set; it holds the token for {pull.url}")

    def batches(self, noted: Mapping[str, Position]) -> Iterator[Batch]:
        pull, as_of = self._pull, datetime.now(UTC)
        largest = noted.get(pull.url, {}).get("since")
        since = {pull.since: largest} if pull.since and largest is not None else {}
        place, last = 0, None
        with httpx.Client(timeout=pull.timeout, headers=self._headers()) as client:
            for rows in self._pages(client, since):
                if last is not None:
                    yield last
                last = _batch(pull.url, rows, place, as_of)
                place += len(rows)
                largest = _largest(largest, rows, pull.since_from)
        last = last or Batch(pull.url, pa.table({}), as_of)
        position = {"read_at": as_of.isoformat()} | ({"since": largest} if largest is not None else {})
        yield Batch(pull.url, last.rows, as_of, position, last.place, last.unreadable, is_whole=not since)

    def _headers(self) -> dict[str, str]:
        pull = self._pull
        return {pull.token_header: f"{pull.token_prefix}{os.environ[pull.token_env]}"} if pull.token_env else {}

    def _pages(self, client: httpx.Client, since: dict[str, Any]) -> Iterator[list[Any]]:
        """Elements of each page, as raw JSON, until there is no next."""
        pull, paging = self._pull, self._pull.paging
        url, params = pull.url, {**pull.params, **since}
        number, seen = (paging.first if paging.first is not None else int(paging.by == "page")), {url} if paging.by == "link" else set()
        while True:
            asked: dict[str, Any] = dict(params)
            if paging.by in ("page", "offset"):
                asked[paging.parameter or paging.by] = number
            answer = self._answer(client, url, asked)
            rows = self._rows(answer)
            yield rows
            if paging.by in ("page", "offset"):
                if not rows or (paging.size is not None and len(rows) < paging.size):
                    return
                number += 1 if paging.by == "page" else len(rows)
                continue
            following = self._next(answer)
            if following is None or following == "":
                return
            if following in seen:
                raise SourceUnavailable(f"{pull.url} leads back to a page that was read; correct `paging.next` in sources.yml")
            seen.add(following)
            if paging.by == "link":
                url, params = self._same_host(urljoin(url, str(following))), {}
            else:
                params = {**pull.params, **since, paging.parameter or "cursor": following}

    def _next(self, answer: httpx.Response) -> Any:
        paging = self._pull.paging
        if paging.by == "none":
            return None
        if paging.next is None:  # by the header Link
            return answer.links.get("next", {}).get("url")
        return at_pointer(from_json(answer.text), paging.next)

    def _same_host(self, url: str) -> str:
        here, there = urlsplit(self._pull.url), urlsplit(url)
        if (here.scheme, here.netloc) != (there.scheme, there.netloc):
            raise SourceUnavailable(f"{self._pull.url} leads to another host ({there.netloc}), which must not have the token; declare that host as `url`")
        return url

    def _answer(self, client: httpx.Client, url: str, params: dict[str, Any]) -> httpx.Response:
        try:
            for attempt in Retrying(retry=retry_if_exception_type(_Again), stop=stop_after_attempt(_ATTEMPTS), wait=_wait, reraise=True):
                with attempt:
                    return _asked(client, url, params)
        except _Again as again:
            raise SourceUnavailable(f"{self._pull.url}: {again} after {_ATTEMPTS} attempts; start the job again later") from None
        raise SourceUnavailable(f"{self._pull.url}: no answer")

    def _rows(self, answer: httpx.Response) -> list[Any]:
        """Elements of a page: each an object of raw values, or what else was found."""
        try:
            found: Any = msgspec.json.decode(answer.content, type=msgspec.Raw)
            for key in pointer_steps(self._pull.rows):
                found = _raw.decode(found).get(key, msgspec.Raw(b"null"))
            elements = msgspec.json.decode(found, type=list[msgspec.Raw])
        except (msgspec.DecodeError, UnicodeError):
            raise SourceUnavailable(f"{self._pull.url} answers with no array at {self._pull.rows or 'the top'}; correct `rows` in sources.yml") from None
        return [_object(bytes(element)) for element in elements]


def _asked(client: httpx.Client, url: str, params: dict[str, Any]) -> httpx.Response:
    """One request. Messages name statuses and classes only: an address with its parameters may be a secret."""
    try:
        answer = client.get(httpx.URL(url).copy_merge_params(params))
    except httpx.TransportError as error:
        raise _Again(type(error).__name__) from None
    if answer.status_code in _RETRIED:
        raise _Again(f"status {answer.status_code}", _after(answer.headers.get("retry-after", "")))
    if answer.status_code != 200:
        raise SourceUnavailable(f"{url.partition('?')[0]} answers with status {answer.status_code}; check `url`, `params` and the token")
    return answer


def _after(text: str) -> float | None:
    """Seconds of a Retry-After, which is a number or a date."""
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    said = error.after_s if isinstance(error, _Again) else None
    return min(_LONGEST_WAIT_S, wait_exponential(0.2)(state) if said is None else said)


def _object(text: bytes) -> dict[str, Any] | str:
    try:
        return _raw.decode(text) or "{}"
    except msgspec.DecodeError:
        return text.decode("utf-8", "backslashreplace")


def _batch(url: str, rows: list[Any], place: int, as_of: datetime) -> Batch:
    bad = tuple(Unreadable(place + number, "malformed_row", one) for number, one in enumerate(rows) if isinstance(one, str))
    return Batch(url, json_table([one for one in rows if not isinstance(one, str)]), as_of, place=place, unreadable=bad)


def _largest(last: Any, rows: list[Any], column: str | None) -> Any:
    """The largest value of the column, as the source compares it: numbers as numbers, texts as texts."""
    if column is None:
        return last
    values = [from_json(bytes(one[column]).decode()) for one in rows if not isinstance(one, str) and column in one]
    try:
        return max([value for value in [last, *values] if value is not None], default=None)
    except TypeError:
        raise SourceUnavailable(f"column {column} holds numbers and texts; `since_from` needs one that holds one of them") from None
