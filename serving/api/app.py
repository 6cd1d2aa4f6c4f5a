"""The API of one tenant as an ASGI application: profiles, views, features, segments, identity, data health, receipts, batches, status. server.py and the tests build it; ``/docs`` shows it."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from millrace import __version__
from millrace.keys import TenantKeys
from serving.api.access import Access
from serving.api.batches import BatchRequests, batch_routes
from serving.api.bodies import Bounded
from serving.api.candidates import candidate_routes
from serving.api.data_health import data_health_routes
from serving.api.decisions import decision_routes
from serving.api.description import DESCRIPTION, REFUSALS, describe_structs
from serving.api.features import feature_routes
from serving.api.identity import identity_routes
from serving.api.operations import Figures, Measured, operation_routes
from serving.api.profiles import profile_routes
from serving.api.refusals import ApiError, not_found, refused
from serving.api.segments import Segments, segment_routes
from serving.api.views import view_routes
from serving.data_health.answering import DataHealth
from serving.data_health.figures import HealthFigures
from serving.explain.answering import Identities
from serving.segments.watching import Declared
from serving.store.store import Store

_REASONS = {
    "extra_forbidden": "there is no such field; leave it out or correct its name",
    "json_invalid": "the body is not JSON from this character on",
    "model_attributes_type": "found no JSON object; send one, with the header Content-Type: application/json",
    "dict_type": "found no JSON object; send one, with the header Content-Type: application/json",
}
"""Sentences for people instead of those of the validation library."""


def build_app(store: Store, keys: TenantKeys, *, requests: BatchRequests | None = None, declared: Declared | None = None) -> FastAPI:
    """The application over a store that somebody else starts and closes. ``declared``: whose segments count; default: those the store was started with."""
    app = FastAPIOffline(title="Millrace", version=__version__, description=DESCRIPTION, redoc_url=None, redirect_slashes=False, responses=REFUSALS)
    access, figures = Access(keys), Figures(store)
    identities = Identities(store.tables, store.definitions, keys.token_secret, store.sealer)
    declared = declared or Declared(store.definitions)
    segments, health = Segments(store, declared), DataHealth(store.tables)
    figures.add(HealthFigures(health, lambda: declared.definitions().sources, store.clock))
    app.include_router(segment_routes(segments, keys.token_secret, access))
    app.include_router(profile_routes(store, keys.token_secret, access, identities, segments.judges))
    app.include_router(feature_routes(store, keys.token_secret, access))
    app.include_router(view_routes(store, access))
    app.include_router(identity_routes(store, keys.token_secret, access, identities))
    app.include_router(batch_routes(store, access, requests or BatchRequests(store.tables)))
    app.include_router(decision_routes(store, keys.token_secret, access))
    app.include_router(candidate_routes(store, access))
    app.include_router(data_health_routes(store, health, access))
    app.include_router(operation_routes(store, access, figures))
    app.add_middleware(Bounded)
    app.add_middleware(Measured, figures=figures)
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _wrong_shape)
    app.add_exception_handler(Exception, _broken)
    describe_structs(app)
    return app


async def _api_error(_: Request, error: Exception) -> Response:
    return refused(error) if isinstance(error, ApiError) else not_found()


async def _http_error(_: Request, error: Exception) -> Response:
    """Whatever Starlette refuses by itself: an unknown path looks like an unknown profile."""
    if not isinstance(error, HTTPException) or error.status_code == 404:
        return not_found()
    allowed = (error.headers or {}).get("Allow")
    found = f"found another method, allowed {allowed}" if allowed else error.detail
    return refused(ApiError(error.status_code, "refused", f"{found}; /docs shows what may be asked"))


async def _broken(_: Request, error: Exception) -> Response:
    return refused(ApiError(500, "internal", f"the answer failed ({type(error).__name__}); the log of the API says more"))


async def _wrong_shape(_: Request, error: Exception) -> Response:
    """Places and reasons, never the values given."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    places = "; ".join(f"{'.'.join(str(part) for part in problem['loc'])}: {_REASONS.get(problem['type'], problem['msg'])}" for problem in found)
    return refused(ApiError(400, "wrong_shape", f"{places}; /docs shows the shape"))
