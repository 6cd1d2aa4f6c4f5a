"""The API over a store over tables written by hand, asked in this process."""

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from millrace.keys import TenantKeys
from serving.api.app import build_app
from serving.api.batches import BatchRequests
from serving.store.store import Store
from tests.serving.store.by_hand import SECRET
from tests.serving.store.stores import builds_in_process, start_store, tenant

__all__ = ["builds_in_process", "start_store", "tenant"]

KEYS = TenantKeys(write_key="wk_test", read_key="rk_test", admin_key="ak_test", token_key=SECRET.hex())
OpenApi = Callable[[Store], TestClient]


@pytest.fixture
def open_api() -> OpenApi:
    """A client with the read key; requests to the batch layer are given up after five seconds."""

    def open_(store: Store) -> TestClient:
        app = build_app(store, KEYS, requests=BatchRequests(store.tables, limit_s=5))
        return TestClient(app, headers={"Authorization": f"Bearer {KEYS.read_key}"}, raise_server_exceptions=False)

    return open_
