"""Segments over HTTP: what is declared, who is in, how many and since when, two compared, a rule tried out, many people looked up, and why somebody is in."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from millrace.errors import ConfigurationError, CoverageError
from millrace.identity.nodes import node_of_key
from millrace.traits.finish import MICROS, time_text
from serving.api.access import Access
from serving.api.identity import only
from serving.api.profiles import MOST_KEYS, check_serving, time_asked
from serving.api.refusals import ApiError, json_answer, not_found
from serving.api.spelled_routes import BelowKey
from serving.segments.asking import Preview, preview
from serving.segments.cohorts import MEMBERS, Cohorts
from serving.segments.explaining import WhyMember, why
from serving.segments.judges import Judges
from serving.segments.past import Past
from serving.segments.progress import Progress, read_progress
from serving.segments.watching import Declared
from serving.store.store import Store

ARROW = "application/vnd.apache.arrow.stream"
PAGE, LARGEST_PAGE = 1_000, 10_000
PART_ROWS = 50_000
STALE_S = 30
"""A follower that has told nothing for so long counts as stopped."""


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    profiles: list[str] = Field(max_length=MOST_KEYS, examples=[["user_id:1", "email:a@example.org"]])


class Tried(BaseModel):
    model_config = ConfigDict(extra="forbid")

    rule: str = Field(max_length=20_000, examples=["orders_30d >= 3"])


class Segments:
    """What the routes share: the declared segments, the memberships the follower has told, and the judge for one person."""

    def __init__(self, store: Store, declared: Declared) -> None:
        self.store, self.declared = store, declared
        self.cohorts, self.judges = Cohorts(store.tables), Judges(declared)

    def has(self, segment: str) -> bool:
        return segment in self.declared.definitions().segments

    def position(self, progress: Progress | None) -> dict[str, Any]:
        """Where memberships stand, and whether anything keeps them from the newest epochs."""
        if progress is None:
            return {"head": 0, "decisions": 0, "manifest_id": None, "as_of": None, "complete": False, "problem": "nobody follows segments; start jobs.follow_segments"}
        is_stale = progress.seen_at < self.store.clock() - STALE_S * MICROS
        problem = "the follower of segments has stopped; start jobs.follow_segments" if is_stale else progress.problem
        is_complete = problem is None and not progress.pending and progress.batch <= self.cohorts.batch
        shown = {"head": progress.head, "decisions": progress.decisions, "manifest_id": progress.manifest_id, "as_of": time_text(progress.seen_at)}
        return shown | {"complete": is_complete, "problem": problem}

    async def followed(self) -> Progress | None:
        """The memberships as of now, and what the follower said before they were read."""
        progress = await run_in_threadpool(read_progress, self.store.tables)
        try:
            await run_in_threadpool(self.cohorts.follow)
        except (CoverageError, OSError) as error:
            raise ApiError(503, "not_readable", f"memberships cannot be read ({type(error).__name__}); ask again") from error
        return progress

    async def past(self, segment: str, as_of: str | None) -> Past | None:
        """The members at an instant; None when none is asked for. 404 for a segment that is not declared and had nobody: rules may be gone, their past is kept."""
        if as_of is None:
            return None
        at = time_asked(as_of, self.store.clock())
        try:
            found = await run_in_threadpool(Past, self.store.tables, segment, at)
        except (CoverageError, OSError) as error:
            raise ApiError(503, "not_readable", f"memberships cannot be read ({type(error).__name__}); ask again") from error
        if not (self.has(segment) or segment in self.cohorts.names()):
            raise HTTPException(404)
        return found


def segment_routes(segments: Segments, secret: bytes, access: Access) -> APIRouter:
    """Routes for holders of the read key."""
    routes = APIRouter(tags=["segments"], dependencies=[Depends(access.reads)])
    _list_routes(routes, segments)
    _cohort_routes(routes, segments)
    _person_routes(routes, segments, secret)
    return routes


def _list_routes(routes: APIRouter, segments: Segments) -> None:
    one_preview = asyncio.Semaphore(1)

    @routes.get("/v1/segments", summary="Segments as declared, with their sizes", dependencies=[Depends(only())])
    async def listed() -> Response:
        """``pending``: its rule has just changed and not everybody has been looked at; ``waiting_for``: traits that no published version has yet (``filling_back``
        says when they come), and percentiles, which only serving/segment_members has."""
        progress = await segments.followed()
        pending, waiting = (set(progress.pending), progress.waiting) if progress else (set(), {})
        found = [
            {
                "id": name, "rule": segment.rule, "kind": segment.kind, "description": segment.description, "count": segments.cohorts.count(name),
                "pending": name in pending, "waiting_for": waiting.get(name, []),
            }
            for name, segment in segments.declared.definitions().segments.items()
        ]  # fmt: skip
        return json_answer({"segments": found, "filling_back": segments.store.filling_back(), "position": segments.position(progress)})

    @routes.post("/v1/segments:preview", summary="Whom a rule would find now", responses={200: {"model": Preview}})
    async def previewed(asked: Tried) -> Response:
        """Looks at everybody; nothing is kept. One preview at a time."""
        check_serving(segments.store)
        try:
            async with one_preview:
                found: Preview = await run_in_threadpool(preview, segments.store, segments.declared.definitions(), asked.rule, now=segments.store.clock())
        except ConfigurationError as error:
            raise ApiError(400, "bad_rule", "; ".join(error.problems)) from error
        except CoverageError as error:
            raise ApiError(503, "not_previewed", str(error)) from error
        return json_answer(found)

    @routes.get("/v1/segments:overlap", summary="How many two segments share", dependencies=[Depends(only("a", "b"))])
    async def overlap(a: str, b: str) -> Response:
        progress = await segments.followed()
        if not (segments.has(a) and segments.has(b)):
            return not_found()
        counts = {name: await run_in_threadpool(segments.cohorts.count, name) for name in (a, b)}
        both = await run_in_threadpool(segments.cohorts.overlap, a, b)
        sizes = {"a": counts[a], "b": counts[b], "both": both, "either": counts[a] + counts[b] - both}
        return json_answer(sizes | {"position": segments.position(progress)})


def _cohort_routes(routes: APIRouter, segments: Segments) -> None:
    cohorts = segments.cohorts

    @routes.get("/v1/segments/{segment}/members", summary="Who is in, or was", dependencies=[Depends(only("after", "limit", "as_of"))])
    async def members(
        segment: str, request: Request, after: int = Query(0, ge=0), limit: int = Query(PAGE, ge=1, le=LARGEST_PAGE), as_of: str | None = None
    ) -> Response:
        """Pages as JSON: go on with ``after`` as ``next`` says. With ``Accept: application/vnd.apache.arrow.stream`` all of them as Arrow, without pages. ``as_of``: who was in
        at that instant (RFC 3339), as is known by now; in order of the id then."""
        progress = await segments.followed()
        if not (segments.has(segment) or as_of):
            return not_found()
        past = await segments.past(segment, as_of)
        if ARROW in request.headers.get("accept", ""):
            parts = past.parts(rows=PART_ROWS) if past else cohorts.parts(segment, rows=PART_ROWS)
            return StreamingResponse(_arrow(parts), media_type=ARROW)
        found, following = past.page(after=after, limit=limit) if past else await run_in_threadpool(cohorts.page, segment, after=after, limit=limit)
        shown = [{"person_id": person_id, "since": time_text(since)} for person_id, since in found]
        return json_answer({"members": shown, "next": following, "position": segments.position(progress)})

    @routes.get("/v1/segments/{segment}/count", summary="How many are in, or were", dependencies=[Depends(only("as_of"))])
    async def count(segment: str, as_of: str | None = None) -> Response:
        """``as_of``: as of members."""
        progress = await segments.followed()
        if not (segments.has(segment) or as_of):
            return not_found()
        past = await segments.past(segment, as_of)
        return json_answer({"count": past.count if past else cohorts.count(segment), "position": segments.position(progress)})

    @routes.get("/v1/segments/{segment}/history", summary="Entries, exits and size by day", dependencies=[Depends(only())])
    async def history(segment: str) -> Response:
        """By the day (UTC) on which memberships became true; the size is that at the end of the day."""
        progress = await segments.followed()
        if not segments.has(segment):
            return not_found()
        days = [{"day": day.isoformat(), "entered": entered, "left": left, "size": size} for day, entered, left, size in await run_in_threadpool(cohorts.days, segment)]
        return json_answer({"days": days, "position": segments.position(progress)})


def _person_routes(routes: APIRouter, segments: Segments, secret: bytes) -> None:
    store, judges, below_key = segments.store, segments.judges, APIRouter(route_class=BelowKey)

    @routes.post("/v1/segments:lookup", summary="The segments of up to 1,000 people")
    async def lookup(asked: Asked) -> Response:
        """In the order of the keys, all at one head; worked out from the same values as profiles show."""
        check_serving(store)
        pinned, now, found = store.pin([node_of_key(key, secret) for key in asked.profiles]), store.clock(), []
        for number, one in enumerate(pinned):
            found.append({"found": False} if one is None else {"id": one.person.id, "segments": judges.segments(one, now), "found": True})
            if number % 50 == 49:
                await asyncio.sleep(0)
        point = next((one.point for one in pinned if one), None) or store.point()
        return json_answer({"profiles": found, "head": point.head if point else 0, "complete": point.complete if point else False})

    @below_key.get(
        "/v1/profiles/{key:path}/segments/{segment}/why", summary="Through which clauses somebody is in a segment, or not",
        responses={200: {"model": WhyMember}}, dependencies=[Depends(only("as_of"))],
    )  # fmt: skip
    async def explained(key: str, segment: str, as_of: str | None = None) -> Response:
        """Each clause with its truth and the traits it looked at, as the profile shows them, with their layers."""
        check_serving(store)
        (pinned,) = store.pin([node_of_key(key, secret)])
        now = store.clock()
        at = time_asked(as_of, now)
        found: WhyMember | None = why(pinned, judges.of(pinned), segment, at=at, now=now) if pinned else None
        return not_found() if found is None else json_answer(found)

    routes.include_router(below_key)


def _arrow(parts: Iterator[pa.RecordBatch]) -> Iterator[bytes]:
    """An Arrow stream, a part at a time."""
    written = _Pipe()
    with pa.ipc.new_stream(pa.PythonFile(written, "w"), MEMBERS) as stream:
        for part in parts:
            stream.write_batch(part)
            yield written.taken()
    yield written.taken()


class _Pipe:
    """A file for Arrow to write to, whose bytes are taken as they come."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def taken(self) -> bytes:
        found = b"".join(self._parts)
        self._parts.clear()
        return found
