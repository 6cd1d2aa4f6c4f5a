"""The collector's HTTP side: ``POST /v1/{batch,track,identify,page,screen,group,alias}`` and what operators ask. server.py and the tests build it.

200 means that the broker has acknowledged every event of the request; any other answer means that none of them may be taken for stored.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from millrace.definitions import Definitions
from millrace.delta import TenantTables
from millrace.errors import BrokerUnavailable
from millrace.faults import crash_point
from millrace.keys import TenantKeys
from millrace.settings import DEFAULTS, CollectorSettings
from serving.collector.access import WriteAccess
from serving.collector.body import ClientGone, Receive, inflate, read_body, refuse_length
from serving.collector.figures import Figures
from serving.collector.intake import BATCH, Intake, open_request
from serving.collector.judging import judged
from serving.collector.messages import CALLS
from serving.collector.pausing import pausing
from serving.collector.publishing import Producer, QueueFull
from serving.collector.refusals import Refusal

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

NOTHING_DECLARED = Definitions(views={})
RETRY = "send the same request again with the same messageIds after Retry-After seconds"

_JSON = (b"content-type", b"application/json")
_SUCCESS = b'{"success": true}'
_SUCCESS_START = {"type": "http.response.start", "status": 200, "headers": [_JSON, (b"content-length", b"%d" % len(_SUCCESS))]}
_SUCCESS_BODY = {"type": "http.response.body", "body": _SUCCESS}


class Collect:
    """One of the seven endpoints, a bare ASGI application: Starlette's request and response objects would cost a third of its time."""

    def __init__(self, call: str, settings: CollectorSettings, *, access: WriteAccess, intake: Intake, producer: Producer, figures: Figures) -> None:
        self.call = call
        self._limits, self._limit = settings, settings.max_request_bytes
        self._retry_after_s = math.ceil(settings.retry_after)
        self._access = access
        self._intake = intake
        self._producer = producer
        self._figures = figures

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            await self._take(scope["headers"], receive)
        except Refusal as refusal:
            self._figures.refused(self.call, refusal.code)
            await refused(refusal)(scope, receive, send)
        except ClientGone:
            self._figures.refused(self.call, "client_gone")
        else:
            await send(_SUCCESS_START)
            await send(_SUCCESS_BODY)

    async def _take(self, headers: list[tuple[bytes, bytes]], receive: Receive) -> None:
        """Returns when the broker has acknowledged all of the request."""
        authorization = encoding = None
        for name, value in headers:
            if name == b"content-encoding":
                encoding = value
            elif name == b"authorization":
                authorization = value
            elif name == b"content-length":
                refuse_length(value, limit=self._limit)
        if authorization is not None:
            source = self._access.source_of_header(authorization)
        body = await read_body(receive, limit=self._limit)
        began = perf_counter()
        opened = open_request(self.call, body if encoding is None else inflate(body, encoding, limit=self._limit), self._limits)
        if authorization is None:
            source = self._access.source_of_body(opened.write_key)
        records = self._intake.records(self.call, opened)
        crash_point("collector.accepted")
        try:
            await self._producer.publish(records, source)
        except QueueFull as full:
            raise Refusal(503, "queue_full", "", f"found {full}; {RETRY}", retry_after_s=self._retry_after_s) from None
        except BrokerUnavailable as away:
            raise Refusal(503, "broker_unavailable", "", f"found that {away}; {RETRY}", retry_after_s=self._retry_after_s) from None
        crash_point("collector.acknowledged")
        self._figures.acknowledged(self.call, len(records), perf_counter() - began)


def refused(refusal: Refusal) -> JSONResponse:
    """The answer for a refusal: what was wrong, where, and what to do."""
    headers = {} if refusal.retry_after_s is None else {"Retry-After": str(refusal.retry_after_s)}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="write key"'
    return JSONResponse({"error": refusal.code, "field": refusal.field, "message": str(refusal)}, refusal.status, headers)


class Collector:
    """The whole application: the seven calls by their exact path, everything else by Starlette, whose middleware the calls need not pay for."""

    def __init__(self, calls: Sequence[Collect], others: Starlette) -> None:
        self._calls = {f"/v1/{collect.call}": collect for collect in calls}
        self._others = others

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        collect = self._calls.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        await (collect or self._others)(scope, receive, send)


def build_app(
    producer: Producer,
    keys: TenantKeys,
    *,
    definitions: Definitions = NOTHING_DECLARED,
    tables: TenantTables | None = None,
    settings: CollectorSettings = DEFAULTS.collector,
    on_start: Callable[[], None] = lambda: None,
) -> "Collector":
    """The collector of one tenant. ``tables``: where alerts that pause a source stand. ``on_start`` is called when it begins to serve; the producer lives as long as the application."""
    figures = Figures(producer.readiness, (BATCH, *CALLS))
    producer = judged(pausing(producer, tables, definitions, figures), definitions, figures)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await producer.start()
        on_start()
        yield
        await producer.close()

    async def healthz(_: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(_: Request) -> Response:
        now = producer.readiness()
        state = {"ready": now.is_ready, "broker_answers": now.broker_answers, "queued": now.queued, "queue_limit": now.queue_limit}
        return JSONResponse(state, 200 if now.is_ready else 503)

    async def metrics(_: Request) -> Response:
        return Response(figures.text(), media_type=CONTENT_TYPE_LATEST)

    access = WriteAccess({key: name for name, key in keys.write_keys(definitions.sources).items()})
    intake = Intake(keys.token_secret, settings)
    calls = [Collect(call, settings, access=access, intake=intake, producer=producer, figures=figures) for call in (BATCH, *CALLS)]
    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    return Collector(calls, Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: no_such_call}))


async def no_such_call(_: Request, error: Exception) -> Response:
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (404, None)
    advice = f"found another path or method, allowed POST /v1/{{{','.join((BATCH, *CALLS))}}} and GET /healthz, /readyz, /metrics; correct it"
    return JSONResponse({"error": "no_such_call", "field": "path", "message": advice}, status, headers)
