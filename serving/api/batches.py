"""Batch versions: asks the batch layer to build or roll back and waits for its answer; lists what was published.

A request is a row of ops/requests; whoever runs batches answers with a row of ops/runs that carries the same request_id.
"""

import asyncio
import json
import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from fastapi import APIRouter, Body, Depends, Response
from pydantic import BaseModel, ConfigDict
from starlette.concurrency import run_in_threadpool

from millrace.errors import CoverageError, ProofError
from millrace.settings import DEFAULTS
from millrace.tables.catalogue import OPS_REQUESTS, OPS_RUNS
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import Manifest, find_manifest, latest_manifest, read_manifests
from millrace.traits.finish import micros, time_text
from serving.api.access import Access
from serving.api.refusals import ApiError, json_answer, not_found
from serving.store.commits import CommitLog
from serving.store.store import Store

SERVED_S = 60.0
POLL_S = 0.1
_UNPROVEN = {ProofError.exit_code, CoverageError.exit_code, 2}
"""Exit codes of a run that refused rather than broke."""


class Build(BaseModel):
    model_config = ConfigDict(extra="forbid")

    full: bool = False
    """Recompute everything from the log instead of adding the epochs since the last cut."""


@dataclass(frozen=True)
class BatchRequests:
    """Asks and waits, for a tenant."""

    tables: TenantTables
    limit_s: float = DEFAULTS.api.batch_timeout

    async def ask(self, action: Literal["build", "rollback"], arguments: dict[str, Any]) -> dict[str, Any]:
        """The row of ops/runs that answers; ApiError 504 when none comes in time, 503 when this API stops before."""
        request_id = uuid.uuid4().hex
        runs = CommitLog(self.tables, OPS_RUNS)
        await run_in_threadpool(runs.snapshot)
        until = time.monotonic() + self.limit_s
        try:
            await run_in_threadpool(self._append, request_id, action, arguments)
            while time.monotonic() < until:
                run = await run_in_threadpool(_find, runs, request_id)
                if run is not None:
                    return run
                await asyncio.sleep(POLL_S)
        except asyncio.CancelledError:  # the server stops and gives up on requests that take long
            raise ApiError(503, "stopping", f"this API stops; request {request_id} goes on without it if its driver does: GET /v1/batches shows it when it is done") from None
        raise ApiError(
            504,
            "batch_not_finished",
            f"request {request_id} was not answered within {self.limit_s:g} s; does a driver with batch run? GET /v1/batches shows when it is done",
        )

    def _append(self, request_id: str, action: str, arguments: dict[str, Any]) -> None:
        row = {"request_id": request_id, "requested_at": datetime.now(UTC), "action": action, "arguments": json.dumps(arguments)}
        self.tables.add(OPS_REQUESTS, pa.Table.from_pylist([row], schema=OPS_REQUESTS.schema))


def batch_routes(store: Store, access: Access, requests: BatchRequests) -> APIRouter:
    """Routes for holders of the admin key."""
    routes = APIRouter(tags=["batches"], dependencies=[Depends(access.administers)])

    @routes.post("/v1/batches", summary="Build and publish a batch version")
    async def build(asked: Build = Body(default_factory=Build)) -> Response:
        """Answers when it is published and served: the manifest. ``status`` is ``nothing_to_do`` when no epoch has come since the last one."""
        return await _answered(store, await requests.ask("build", {"full": asked.full}))

    @routes.get("/v1/batches", summary="Published batch versions, newest first")
    async def published() -> Response:
        manifests = await run_in_threadpool(read_manifests, store.tables)
        return json_answer({"batches": [manifest_json(manifest) for manifest in reversed(manifests)]})

    @routes.post("/v1/batches/{manifest_id}:rollback", summary="Serve an older batch version again")
    async def rollback(manifest_id: int) -> Response:
        """Answers change in nothing but their layers: the epochs after the older cut are merged at read again."""
        if await run_in_threadpool(find_manifest, store.tables, manifest_id) is None:
            return not_found()
        return await _answered(store, await requests.ask("rollback", {"manifest_id": manifest_id}))

    return routes


async def _answered(store: Store, run: dict[str, Any]) -> Response:
    """The answer for a finished run: the manifest it published, or why it did not."""
    if run["status"] == "failed":
        status = 409 if run["exit_code"] in _UNPROVEN else 500
        raise ApiError(status, "batch_failed", run["error"] or "the batch failed; the log of its driver says why")
    manifest_id = json.loads(run["counts"] or "{}").get("manifest_id")
    if manifest_id is not None:
        manifest = await run_in_threadpool(find_manifest, store.tables, manifest_id)
    else:
        manifest = await run_in_threadpool(latest_manifest, store.tables)
    if manifest is None:
        return json_answer({"status": run["status"], "message": run["error"]})
    return json_answer({"status": run["status"], **manifest_json(manifest), "is_served": await _served(store, manifest)})


async def _served(store: Store, manifest: Manifest) -> bool:
    """Whether this store answers from the manifest, or a later one, by now; it opens it in the background."""
    until = time.monotonic() + SERVED_S
    while (store.status().manifest_id or 0) < manifest.manifest_id:
        if time.monotonic() > until:
            return False
        await asyncio.sleep(POLL_S)
    return True


def manifest_json(manifest: Manifest) -> dict[str, Any]:
    """The row of a manifest, without the text of its definitions."""
    return {
        "manifest_id": manifest.manifest_id, "published_at": time_text(micros(manifest.published_at)), "kind": manifest.kind, "cut": manifest.cut,
        "offsets": json.loads(manifest.offsets), "tables": manifest.tables, "definitions_hash": manifest.definitions_hash, "proof": manifest.proof,
        "rolled_back_to": manifest.rolled_back_to,
    }  # fmt: skip


def _find(runs: CommitLog, request_id: str) -> dict[str, Any] | None:
    for commit in runs.poll():
        for file in commit.added:
            rows = runs.read(file).filter(pc.field("request_id") == request_id).to_pylist()
            if rows:
                return rows[0]
    return None
