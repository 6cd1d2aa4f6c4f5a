"""Online features over HTTP: the newest values for many people at one head, under the names that training sets have."""

import asyncio
from typing import Any

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from millrace.errors import ConfigurationError
from millrace.features import feature_names
from millrace.times import time_text
from serving.api.access import Access
from serving.api.profiles import AT_ONCE, MOST_KEYS, check_serving, node_asked, only_as_of, time_asked
from serving.api.refusals import ApiError, json_answer
from serving.store.features import PERSON, reader_of, served_plan
from serving.store.store import Store

MOST_FEATURES = 1_000


class Asked(BaseModel):
    """Keys as ``namespace:value``, features as ``view__trait``, with a time to live as in ``person__city:30d`` where an old value is to be null."""

    model_config = ConfigDict(extra="forbid")

    keys: list[str] = Field(max_length=MOST_KEYS, examples=[["user_id:1", "email:a@example.org"]])
    features: list[str] = Field(min_length=1, max_length=MOST_FEATURES, examples=[["person__orders_count", "person__spend_30d"]])
    as_of: str | None = Field(None, examples=["2017-12-31T23:59:59Z"])


def feature_routes(store: Store, secret: bytes, access: Access) -> APIRouter:
    """Routes for holders of the read key."""
    routes = APIRouter(tags=["features"], dependencies=[Depends(access.reads), Depends(only_as_of)])

    @routes.post("/v1/features:online", summary="Features of up to 1,000 people at one head")
    async def online(asked: Asked, as_of: str | None = None) -> Response:
        """Values in the order of the keys, each with ``found``; ``receipt`` says what all of them stand on. For instants of the past ask ``get_historical_features``."""
        check_serving(store)
        pinned = store.pin([node_asked(key, store, secret) for key in asked.keys])
        at = time_asked(asked.as_of or as_of, store.clock())
        plan = served_plan(pinned, store.definitions)
        try:
            reader = reader_of(plan, tuple(asked.features))
        except ConfigurationError as error:
            allowed = ", ".join(feature_names({PERSON: plan.view}))
            raise ApiError(400, "unknown_feature", f"found a feature that is not served, comes twice, or whose ttl is not for it; allowed are {allowed}") from error
        entries: list[dict[str, Any]] = []
        for start in range(0, len(pinned), AT_ONCE):
            some = pinned[start : start + AT_ONCE]
            entries += [{"found": False} if one is None else {"found": True, "values": reader.show(reader.read(one, at, store.clock()))} for one in some]
            await asyncio.sleep(0)
        point = next((one.point for one in pinned if one is not None), None) or store.point()
        receipt = point and {name: getattr(point, name) for name in ("manifest_id", "cut", "head", "decisions", "definitions_hash", "complete")}
        return json_answer({"features": entries, "receipt": {"as_of": time_text(at), **(receipt or {})}})

    return routes
