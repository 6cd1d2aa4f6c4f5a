"""Data health over HTTP: how each source does now, beside what its history lets expect."""

import asyncio

from deltalake.exceptions import DeltaError
from fastapi import APIRouter, Depends, Query, Response

from millrace.errors import CoverageError
from serving.api.access import Access
from serving.api.refusals import ApiError, json_answer
from serving.data_health.answering import DataHealth
from serving.store.store import Store


def data_health_routes(store: Store, health: DataHealth, access: Access) -> APIRouter:
    """Routes for holders of the read key."""
    routes = APIRouter(tags=["data health"], dependencies=[Depends(access.reads)])

    @routes.get("/v1/data-health", summary="How each source does: measures, bands, freshness, open anomalies")
    async def data_health(source: str | None = Query(None, description="only this one; `*` is all sources together")) -> Response:
        """``window`` is the last one that is final; ``state`` of a measure is learning, normal or anomaly. ``freshness`` is as of now. History: `serving/data_health`."""
        try:
            found = await asyncio.to_thread(health.answer, store.clock())
        except (CoverageError, DeltaError, OSError) as error:
            raise ApiError(503, "not_ready", f"serving/data_health cannot be read ({type(error).__name__}); restore the table") from error
        if source is not None:
            known = [one["source"] for one in found["sources"]]
            if source not in known:
                raise ApiError(400, "unknown_source", f"found a source that has sent nothing and is not promised; allowed are {', '.join(known) or 'none yet'}")
            found["sources"] = [one for one in found["sources"] if one["source"] == source]
        return json_answer(found)

    return routes
