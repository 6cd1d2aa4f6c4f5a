"""Asking the batch layer over HTTP; a thread stands in for whoever runs batches."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from millrace.tables.catalogue import OPS_REQUESTS, OPS_RUNS
from millrace.tables.manifest import Manifest
from serving.api.batches import BatchRequests
from serving.api.refusals import ApiError
from tests.serving.api.conftest import OpenApi
from tests.serving.store.by_hand import HandMade, Order
from tests.serving.store.stores import StartStore

ADMIN = {"Authorization": "Bearer ak_test"}
Run = dict[str, Any]


@contextmanager
def batch_layer(tenant: HandMade, execute: Callable[[Run], Run]) -> Iterator[list[Run]]:
    """Answers each request of ops/requests with the row that ``execute`` makes of it, after a run of somebody else; yields the requests seen."""
    seen: list[Run] = []
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            for request in tenant.tables.read(OPS_REQUESTS).to_pylist()[len(seen) :]:
                seen.append(request)
                now = datetime.now(UTC)
                other = {"run_id": "other", "job": "batch.build", "request_id": "other", "started_at": now, "status": "failed", "exit_code": 1}
                tenant.tables.add(OPS_RUNS, pa.Table.from_pylist([other], schema=OPS_RUNS.schema))
                row = {"run_id": request["request_id"], "job": "build_batch", "request_id": request["request_id"], "started_at": now, "ended_at": now}
                tenant.tables.add(OPS_RUNS, pa.Table.from_pylist([{**row, **execute(request)}], schema=OPS_RUNS.schema))
            time.sleep(0.01)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def ok(manifest: Manifest) -> Run:
    return {"status": "ok", "exit_code": 0, "counts": json.dumps({"manifest_id": manifest.manifest_id})}


def test_a_build_answers_with_its_manifest_when_it_is_served(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order("user_id:a"))
    store = start_store()
    with batch_layer(tenant, lambda _: ok(tenant.publish(cut=1))) as seen:
        answer = open_api(store).post("/v1/batches", json={"full": True}, headers=ADMIN)
    assert (answer.status_code, answer.json()["manifest_id"], answer.json()["cut"], answer.json()["is_served"]) == (200, 1, 1, True)
    assert [(request["action"], json.loads(request["arguments"])) for request in seen] == [("build", {"full": True})]
    assert store.status().manifest_id == 1


def test_nothing_to_do_is_no_failure(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order("user_id:a"))
    tenant.publish(cut=1)
    store = start_store()
    with batch_layer(tenant, lambda _: {"status": "nothing_to_do", "exit_code": 4}) as seen:
        answer = open_api(store).post("/v1/batches", headers=ADMIN)
    assert (answer.status_code, answer.json()["status"], answer.json()["manifest_id"]) == (200, "nothing_to_do", 1)
    assert json.loads(seen[0]["arguments"]) == {"full": False}


@pytest.mark.parametrize(("exit_code", "status"), [(3, 409), (2, 409), (1, 500)])
def test_a_batch_that_was_not_published_says_why(tenant: HandMade, start_store: StartStore, open_api: OpenApi, exit_code: int, status: int) -> None:
    with batch_layer(tenant, lambda _: {"status": "failed", "exit_code": exit_code, "error": "12 answers would change"}):
        answer = open_api(start_store()).post("/v1/batches", json={}, headers=ADMIN)
    assert (answer.status_code, answer.json()) == (status, {"error": "batch_failed", "message": "12 answers would change"})


def test_a_batch_layer_that_does_not_answer_is_504(start_store: StartStore, open_api: OpenApi, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = open_api(start_store()).post("/v1/batches", json={}, headers=ADMIN)
    assert (answer.status_code, answer.json()["error"]) == (504, "batch_not_finished")


def test_a_request_that_the_end_of_the_server_cuts_off_is_not_called_failed(tenant: HandMade) -> None:
    async def cut_off() -> None:
        asking = asyncio.create_task(BatchRequests(tenant.tables).ask("build", {}))
        while not len(tenant.tables.read(OPS_REQUESTS)):
            await asyncio.sleep(0.01)
        asking.cancel()
        await asking

    with pytest.raises(ApiError, match="goes on without it") as refusal:
        asyncio.run(cut_off())
    assert (refusal.value.status, refusal.value.code) == (503, "stopping")


def test_versions_are_listed_newest_first_and_one_can_be_served_again(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order("user_id:a"))
    first = tenant.publish(cut=1)
    tenant.write(Order("user_id:a"))
    tenant.publish(cut=2)
    store = start_store()
    api = open_api(store)
    with batch_layer(tenant, lambda _: ok(tenant.rollback(first))) as seen:
        answer = api.post("/v1/batches/1:rollback", headers=ADMIN)
    assert (answer.status_code, answer.json()["rolled_back_to"], store.status().cut, store.status().head) == (200, 1, 1, 2)
    assert json.loads(seen[0]["arguments"]) == {"manifest_id": 1}
    listed = api.get("/v1/batches", headers=ADMIN).json()["batches"]
    assert [(batch["manifest_id"], batch["kind"], batch["cut"]) for batch in listed] == [(3, "rollback", 1), (2, "full", 2), (1, "full", 1)]


def test_a_version_nobody_published_cannot_be_served(start_store: StartStore, open_api: OpenApi) -> None:
    assert open_api(start_store()).post("/v1/batches/7:rollback", headers=ADMIN).status_code == 404


@pytest.mark.parametrize("body", [{"fulll": True}, {"full": "perhaps"}, []])
def test_a_request_of_another_shape_is_refused(start_store: StartStore, open_api: OpenApi, body: object) -> None:
    assert open_api(start_store()).post("/v1/batches", json=body, headers=ADMIN).status_code == 400
