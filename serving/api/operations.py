"""What operators ask: status, health, metrics. Labels of metrics come from fixed sets: no key, path or identifier of a client is ever one."""

from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

from fastapi import APIRouter, Depends, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.registry import Collector

from serving.api.access import Access
from serving.api.refusals import json_answer
from serving.store.store import Store

Scope = MutableMapping[str, Any]
Send = Callable[[Scope], Awaitable[None]]
App = Callable[[Scope, Callable[[], Awaitable[Scope]], Send], Awaitable[None]]
SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 10, 100)


class Figures:
    """One registry an API, so that several live in one process."""

    def __init__(self, store: Store) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter("api_requests", "Requests by route and status", ("route", "status"), registry=registry)
        self._seconds = Histogram("api_seconds", "Time to answer", ("route",), buckets=SECONDS, registry=registry)
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "store_ready": ("1 when a batch version and the epochs after its cut are loaded and followed", lambda: store.status().ready),
            "store_complete": ("0 while something keeps answers from the newest epochs", lambda: store.status().complete),
            "store_problem": ("1 while the store has something to tell, see /readyz", lambda: store.status().problem is not None),
            "store_head": ("Last epoch that answers hold", lambda: store.status().head),
            "store_cut": ("Last epoch of the batch version served", lambda: store.status().cut),
            "store_manifest": ("Batch version served, 0 for none", lambda: store.status().manifest_id or 0),
            "store_staleness_seconds": ("Time since the head came to exist", lambda: store.status().staleness_ms / 1000),
            "store_keys_after_cut": ("Nodes touched by the epochs after the cut", lambda: store.status().keys_after_cut),
        }
        for name, (help_text, read) in gauges.items():
            Gauge(name, help_text, registry=registry).set_function(read)

    def add(self, collector: Collector) -> None:
        """Figures of another part, asked for with these."""
        self._registry.register(collector)

    def note(self, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class Measured:
    """Middleware that counts requests by the path of their route, never by the path asked for."""

    def __init__(self, app: App, figures: Figures) -> None:
        self._app, self._figures = app, figures

    async def __call__(self, scope: Scope, receive: Callable[[], Awaitable[Scope]], send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = perf_counter(), 500

        async def noting(message: Scope) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._figures.note(getattr(scope.get("route"), "path", "other"), status, perf_counter() - began)


def operation_routes(store: Store, access: Access, figures: Figures) -> APIRouter:
    """Health and metrics need no key; the status does."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/v1/status", dependencies=[Depends(access.reads)], summary="Where the log and the answers stand")
    async def status() -> Response:
        """``head`` is the last epoch in answers; ``log`` counts records up to it: received = accepted + rejected + duplicate. ``filling_back``: traits that are declared
        and come with the next publish whose ``cut`` reaches ``since``, the epoch at which the stream began to count them."""
        now = store.status()
        return json_answer(
            {
                "head": now.head, "manifest_id": now.manifest_id, "cut": now.cut, "log": now.log, "complete": now.complete, "problem": now.problem,
                "staleness_ms": now.staleness_ms, "filling_back": store.filling_back(),
            }
        )  # fmt: skip

    @routes.get("/healthz", summary="The process answers")
    async def healthz() -> Response:
        return json_answer({"alive": True})

    @routes.get("/readyz", summary="200 when answers can be given and are kept up to date")
    async def readyz() -> Response:
        now = store.status()
        state = {"ready": now.ready, "head": now.head, "manifest_id": now.manifest_id, "cut": now.cut, "complete": now.complete, "problem": now.problem}
        return json_answer(state, 200 if now.ready else 503)

    @routes.get("/metrics", summary="Figures for Prometheus")
    async def metrics() -> Response:
        return Response(figures.text(), media_type=CONTENT_TYPE_LATEST)

    return routes
