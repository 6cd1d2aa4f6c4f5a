"""Views of other keys than persons: what there is, the row of one key, the rows of all keys in pages."""

from fastapi import APIRouter, Depends, Request, Response

from millrace.traits.views import View
from serving.api.access import Access
from serving.api.description import page_of
from serving.api.profiles import check_serving, time_asked
from serving.api.refusals import JSON, ApiError, json_answer, not_found
from serving.store.answers import encode_json
from serving.store.keyed import row_of
from serving.store.store import Store

MOST_ROWS = 1_000
USUAL_ROWS = 100
_OF_PAGES = ("after", "limit", "as_of")


def view_routes(store: Store, access: Access) -> APIRouter:
    """Routes for holders of the read key."""
    routes = APIRouter(tags=["views"], dependencies=[Depends(access.reads)])

    @routes.get("/v1/views", summary="The views of other keys than persons")
    async def views() -> Response:
        """Each with the parts of its key, the path of each, and its traits."""
        check_serving(store)
        found = [{"view": name, "key": view.key, "traits": [*view.traits, *view.derived]} for name, view in store.keyed_views().items()]
        return json_answer({"views": found})

    @routes.get("/v1/views/{view}", summary="The row of a key, or the rows of all keys in pages", responses=page_of("Row"))
    async def rows(view: str, request: Request, as_of: str | None = None, after: str = "", limit: int = USUAL_ROWS) -> Response:
        """With every part of the key as a parameter (``?store_id=12``) the row of that key; with none the rows in order of their keys, at one head, ``limit`` (at most
        1,000) at a time: ``next`` is what to give as ``after`` for those that follow, null after the last. ``as_of`` (RFC 3339) moves the windows, default now."""
        check_serving(store)
        declared = _view(store, view)
        parts = {name: value for name, value in request.query_params.items() if name in declared.keyed.names}
        _check_parameters(request, declared, parts)
        now = store.clock()
        at = time_asked(as_of, now)
        if parts:
            (pinned,) = store.pin_keys(view, [declared.keyed.text(parts)])
            return not_found() if pinned is None else Response(encode_json(row_of(pinned, at=at, now=now, sealer=store.sealer)), media_type=JSON)
        if not 1 <= limit <= MOST_ROWS:
            raise ApiError(400, "bad_limit", f"found limit {limit}, allowed are 1 to {MOST_ROWS}")
        page = store.page_of_keys(view, after=after, limit=limit)
        following = page[-1].key if len(page) == limit else None
        return Response(encode_json({"view": view, "rows": [row_of(pinned, at=at, now=now, sealer=store.sealer) for pinned in page], "next": following}), media_type=JSON)

    return routes


def _view(store: Store, name: str) -> View:
    """The view as it is served; ApiError 404 or, when it is declared and not built yet, 503."""
    served = store.keyed_views()
    if name in served:
        return served[name]
    declared = [other for other, view in store.newest().views.items() if view.keyed.parts]
    if name in declared:
        raise ApiError(503, "not_ready", f"view {name} is declared and comes with the next publish of a batch version that knows it; /v1/status says what is being filled back")
    raise ApiError(404, "unknown_view", f"there is no such view; there are {', '.join(served) or 'none of other keys than persons'}")


def _check_parameters(request: Request, view: View, parts: dict[str, str]) -> None:
    """ApiError 400 for parameters that are not known, and for a key of which only some parts are given."""
    names, given = view.keyed.names, request.query_params.keys()
    if given - {*names, *_OF_PAGES}:
        raise ApiError(400, "unknown_parameter", f"found a query parameter that is not known, allowed are {', '.join((*names, *_OF_PAGES))}; correct its name or leave it out")
    if parts and len(parts) < len(names):
        raise ApiError(400, "incomplete_key", f"a key of this view has the parts {', '.join(names)}; give all of them, or none for all rows")
    if parts and given & {"after", "limit"}:
        raise ApiError(400, "unknown_parameter", "after and limit are for all rows; leave them out when you ask for one key")
