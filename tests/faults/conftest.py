"""Tenants for the crash tests, on the shared broker and session."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest


@pytest.fixture
def tenant_of(spark, broker, tmp_path: Path, monkeypatch) -> Iterator[Callable]:
    """``tenant_of(seed)``: a fresh tenant with a running store."""
    from kafka import KafkaProducer

    from serving.store.base_building import build_base
    from serving.store.base_folders import BaseFolders
    from tests.faults.crashing import FaultTenant

    monkeypatch.setattr(BaseFolders, "_run_child", lambda folders, draft, manifest: build_base(folders._tables, manifest, draft))
    with ExitStack() as stack:

        def start(seed: str) -> FaultTenant:
            producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", linger_ms=0)
            stack.callback(producer.close)
            tenant = FaultTenant(spark, broker, tmp_path, seed=seed, producer=producer)
            stack.callback(tenant.close)
            return tenant

        yield start
