"""Who is who, explained: the graph around an identifier with its evidence, why two are or are not one person, and the identifiers seen with most others."""

import asyncio
from collections.abc import Awaitable, Callable

from deltalake.exceptions import DeltaError
from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from millrace.errors import CoverageError
from millrace.identity.nodes import node_of_key
from serving.api.access import Access
from serving.api.profiles import check_serving
from serving.api.refusals import JSON, ApiError, not_found
from serving.explain.answering import EXPLAIN, SUPERNODES, WHY, Identities
from serving.explain.answers import Explanation, SuperNodes, Why
from serving.store.answers import encode_json
from serving.store.store import Store

SHOWN, MOST_SHOWN = 500, 10_000
LISTED, MOST_LISTED = 20, 1_000


def identity_routes(store: Store, secret: bytes, access: Access, identities: Identities) -> APIRouter:
    """Routes for holders of the read key. One answer is made at a time: each reads tables."""
    routes = APIRouter(tags=["identity"], dependencies=[Depends(access.reads)])
    one_answer = asyncio.Semaphore(1)

    async def answered(question: tuple[str | int, ...], *keys: str) -> Response:
        """The answer at the head; 404 when one of the identifiers has never been seen."""
        check_serving(store)
        nodes = [node_of_key(key, secret) for key in keys]
        pinned = store.pin(nodes)
        expected: dict[str, str] = {}
        for node, one in zip(nodes, pinned, strict=True):
            if node is None or one is None:
                return not_found()
            expected[node] = one.person.id
        point = next((one.point for one in pinned if one is not None), None) or store.point()
        if point is None:
            return not_found()
        ask = question + tuple(nodes[1:])
        try:
            async with one_answer:
                found = await run_in_threadpool(identities.ask, point, ask, node=nodes[0] if nodes else "", now=store.clock(), expected=expected)
        except (CoverageError, DeltaError, FileNotFoundError) as error:
            raise ApiError(503, "not_explained", f"the tables cannot tell ({' '.join(str(error).split())}); ask again") from error
        return Response(encode_json(found), media_type=JSON)

    @routes.get("/v1/identity:why", summary="Why two identifiers are or are not one person", responses={200: {"model": Why}}, dependencies=[Depends(only("a", "b"))])
    async def why(a: str, b: str) -> Response:
        """``a`` and ``b`` are ``namespace:value``. The path is the shortest way of accepted edges when they are one person; otherwise the shortest way of all
        edges, on which those that are refused say why; empty when nothing connects them."""
        return await answered((WHY,), a, b)

    @routes.get(
        "/v1/identity:supernodes", summary="Identifiers seen with most others", responses={200: {"model": SuperNodes}}, dependencies=[Depends(only("limit"))]
    )
    async def supernodes(limit: int = Query(LISTED, ge=1, le=MOST_LISTED)) -> Response:
        """With why they join nobody, where they do not. An isolated identifier keeps its events and its profile."""
        return await answered((SUPERNODES, limit))

    @routes.get(
        "/v1/identity/{key:path}", summary="Who an identifier belongs to, and why", responses={200: {"model": Explanation}}, dependencies=[Depends(only("limit"))]
    )
    async def explanation(key: str, limit: int = Query(SHOWN, ge=1, le=MOST_SHOWN)) -> Response:
        """``key`` is ``namespace:value`` (user_id, email, phone, anonymous_id), URL-encoded. The answer has the ``limit`` edges nearest to it, those of its person
        and those that were refused, each with its evidence; and what publishes have changed about its person."""
        return await answered((EXPLAIN, limit), key)

    return routes


def only(*names: str) -> Callable[[Request], Awaitable[None]]:
    """A dependency that refuses any other query parameter, and one that comes twice."""

    async def check(request: Request) -> None:
        given = [name for name, _ in request.query_params.multi_items()]
        if set(given) - set(names) or len(given) != len(set(given)):
            allowed = " and ".join(names)
            raise ApiError(400, "unknown_parameter", f"found a query parameter that is not known or comes twice, allowed is {allowed}; correct its name or leave it out")

    return check
