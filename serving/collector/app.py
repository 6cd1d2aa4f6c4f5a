"""The collector's HTTP side: ``POST /v1/{batch,track,identify,page,screen,group,alias}``, the paths of other dialects (dialects/routes.py), and what operators
and clients ask. server.py and the tests build it.

200 means that the broker has acknowledged every event of the request; any other answer means that none of them may be taken for stored.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from urllib.parse import parse_qs

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from millrace.definitions import Definitions
from millrace.keys import TenantKeys
from millrace.settings import DEFAULTS, CollectorSettings
from millrace.tables.delta import TenantTables
from serving.collector.access import WriteAccess
from serving.collector.body import ClientGone, Receive, inflate, read_body, refuse_length
from serving.collector.browsers import Message, Send, answer_preflight, origin_of, permitting
from serving.collector.client_settings import client_routes
from serving.collector.delivery import Delivery
from serving.collector.dialects import routes as dialects
from serving.collector.figures import Figures
from serving.collector.foreign_call import ForeignCalls
from serving.collector.intake import BATCH, Intake, open_request
from serving.collector.judging import judged
from serving.collector.messages import CALLS
from serving.collector.objections import OBJECTIONS, withheld
from serving.collector.pausing import pausing
from serving.collector.publishing import Producer
from serving.collector.refusals import Refusal

NOTHING_DECLARED = Definitions(views={})

_JSON = (b"content-type", b"application/json")
_SUCCESS = b'{"success": true}'
_SUCCESS_START = {"type": "http.response.start", "status": 200, "headers": [_JSON, (b"content-length", b"%d" % len(_SUCCESS))]}
_SUCCESS_BODY = {"type": "http.response.body", "body": _SUCCESS}


class Collect:
    """One of the seven endpoints, a bare ASGI application: Starlette's request and response objects would cost a third of its time."""

    def __init__(
        self, call: str, settings: CollectorSettings, *, definitions: Definitions, access: WriteAccess, intake: Intake, delivery: Delivery, figures: Figures
    ) -> None:
        self.call = call
        self._limits, self._limit = settings, settings.max_request_bytes
        self._definitions = definitions
        self._access = access
        self._intake = intake
        self._delivery = delivery
        self._figures = figures

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            await self._take(scope["headers"], scope["query_string"], receive)
        except Refusal as refusal:
            self._figures.refused(self.call, refusal.code)
            await refused(refusal)(scope, receive, send)
        except ClientGone:
            self._figures.refused(self.call, "client_gone")
        else:
            await send(_SUCCESS_START)
            await send(_SUCCESS_BODY)

    async def _take(self, headers: list[tuple[bytes, bytes]], query: bytes, receive: Receive) -> None:
        """Returns when the broker has acknowledged all of the request."""
        authorization = encoding = None
        objects = False
        for name, value in headers:
            if name == b"content-encoding":
                encoding = value
            elif name == b"authorization":
                authorization = value
            elif name == b"content-length":
                refuse_length(value, limit=self._limit)
            elif name in OBJECTIONS:
                objects = objects or value == b"1"
        if authorization is not None:
            source = self._access.source_of_header(authorization)
        body = await read_body(receive, limit=self._limit)
        began = perf_counter()
        opened = open_request(self.call, body if encoding is None else inflate(body, encoding, limit=self._limit), self._limits)
        if authorization is None:
            source = self._access.source_of_body(opened.write_key or (_key_in(query) if query else None))
        records = self._intake.records(self.call, opened)
        received = len(records)
        if objects:
            records = withheld(records, self._definitions.source(source).do_not_track, self._intake)
        await self._delivery.deliver(self.call, records, source, began=began, received=received)


def _key_in(query: bytes) -> str | None:
    """The write key of a query: a beacon can bring neither a header nor, in some clients, a body with it."""
    return next(iter(parse_qs(query.decode("latin-1")).get("writeKey", ())), None)


def refused(refusal: Refusal) -> JSONResponse:
    """The answer for a refusal: what was wrong, where, and what to do."""
    headers = {} if refusal.retry_after_s is None else {"Retry-After": str(refusal.retry_after_s)}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="write key"'
    # "code" is what RudderStack's clients look for: without it they take any refusal for a fault of the network and send it again
    return JSONResponse({"error": refusal.code, "code": refusal.code, "field": refusal.field, "message": str(refusal)}, refusal.status, headers)


class Collector:
    """The whole application: the seven calls by their exact path, then the dialects, everything else by Starlette, whose middleware the calls need not pay for."""

    def __init__(self, calls: Sequence[Collect], foreign: ForeignCalls, others: Starlette, figures: Figures) -> None:
        by_name = {collect.call: collect for collect in calls}
        self._calls = {f"/v1/{call}": collect for call, collect in by_name.items()} | {path: by_name[call] for path, call in dialects.SHORT_PATHS.items()}
        self._foreign, self._others, self._figures = foreign, others, figures

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._others(scope, receive, send)
        if origin := origin_of(scope["headers"]):
            if scope["method"] == "OPTIONS":
                return await answer_preflight(scope["headers"], send)
            send = permitting(send, origin)
        collect = self._calls.get(scope["path"]) if scope["method"] == "POST" else None
        if collect:
            return await collect(scope, receive, send)
        found = dialects.find(scope["method"], scope["path"])
        await (self._translated(*found, scope, receive, send) if found else self._others(scope, receive, send))

    async def _translated(self, dialect: dialects.Dialect, key: str | None, scope: Message, receive: Receive, send: Send) -> None:
        try:
            cookie = await self._foreign.take(dialect, key, scope, receive)
        except Refusal as refusal:
            self._figures.refused(dialect.name, refusal.code)
            await refused(refusal)(scope, receive, send)
        except ClientGone:
            self._figures.refused(dialect.name, "client_gone")
        else:
            content_type, body = dialect.answer
            headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), (b"cache-control", b"no-store"), *cookie]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})


def build_app(
    producer: Producer,
    keys: TenantKeys,
    *,
    definitions: Definitions = NOTHING_DECLARED,
    tables: TenantTables | None = None,
    settings: CollectorSettings = DEFAULTS.collector,
    on_start: Callable[[], None] = lambda: None,
) -> "Collector":
    """The collector of one tenant. ``tables``: where alerts that pause a source stand. ``on_start`` is called when it begins to serve; the producer lives as
    long as the application."""
    figures = Figures(producer.readiness, (BATCH, *CALLS, *dialects.NAMES))
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
    delivery = Delivery(producer, figures, retry_after=settings.retry_after)
    intake, foreign = Intake(keys.token_secret, settings), ForeignCalls(settings, definitions, access=access, secret=keys.token_secret, delivery=delivery)
    calls = [
        Collect(call, settings, definitions=definitions, access=access, intake=intake, delivery=delivery, figures=figures) for call in (BATCH, *CALLS)
    ]
    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics), *client_routes(access)]
    handlers = {HTTPException: no_such_call, Refusal: refused_client}
    return Collector(calls, foreign, Starlette(routes=routes, lifespan=lifespan, exception_handlers=handlers), figures)


async def refused_client(_: Request, error: Exception) -> Response:
    if not isinstance(error, Refusal):
        raise error
    return refused(error)


async def no_such_call(_: Request, error: Exception) -> Response:
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (404, None)
    advice = f"found another path or method, allowed POST /v1/{{{','.join((BATCH, *CALLS))}}}, the paths of docs/clients.md and GET /healthz, /readyz, /metrics; correct it"
    return JSONResponse({"error": "no_such_call", "code": "no_such_call", "field": "path", "message": advice}, status, headers)
