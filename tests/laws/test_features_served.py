"""Offline = online on the real stack: what the store answered at some moments is, to the last digit, what historical features say of those instants afterwards."""

import random
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest
from kafka import KafkaProducer

from batch.features import get_historical_features
from millrace.tables.ledger import read_ledger
from serving.store.base_building import build_base
from serving.store.base_folders import BaseFolders
from serving.store.features import reader_of, served_plan
from tests.laws.features import shown
from tests.laws.stack import StackTenant
from tests.tiers import SEED

pytestmark = [pytest.mark.stack, pytest.mark.spark]


@pytest.fixture
def tenant(spark, broker, tmp_path, monkeypatch) -> Iterator[StackTenant]:
    monkeypatch.setattr(BaseFolders, "_run_child", lambda folders, draft, manifest: build_base(folders._tables, manifest, draft))
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap, acks="all", linger_ms=0)
    found = StackTenant(spark, broker.bootstrap, tmp_path, name=f"law{SEED}x{time.time_ns()}", chance=random.Random(SEED), producer=producer)
    yield found
    found.close()
    producer.close()


def served(tenant: StackTenant, nodes: list[str], features: list[str]) -> list[tuple[str, int, dict]]:
    """What the store says of some nodes now: the node, the instant, the values; None for everything where it knows nobody."""
    tenant.wait_for(read_ledger(tenant.tables).head)
    pinned, at = tenant.store.pin(nodes), time.time_ns() // 1_000
    reader = reader_of(served_plan(pinned, tenant.definitions), tuple(features))
    nothing = dict.fromkeys(feature.name for feature in reader.features)
    return [(node, at, nothing if one is None else reader.show(reader.read(one, at))) for node, one in zip(nodes, pinned, strict=True)]


def test_answers_the_store_gave_are_the_features_of_those_instants(tenant):
    features = [f"person__{name}" for name in tenant.traits]
    nodes: list[str] = []
    answered = []
    for is_built in (False, True, False):
        tenant.send(14)
        tenant.run_speed(9)
        if is_built:
            tenant.build()
        log, _ = tenant.log()
        nodes = sorted({*nodes, *(node for event in log.counted for node in event.nodes)})
        answered += served(tenant, [*nodes, "user_id:nobody"], features)
    frame = tenant.spark.createDataFrame(
        pa.table(
            {
                "number": pa.array(range(len(answered)), pa.int64()),
                "node": pa.array([node for node, _, _ in answered]),
                "at": pa.array([at for _, at, _ in answered], pa.int64()).cast(pa.timestamp("us", tz="UTC")),
            }
        )
    )
    found = get_historical_features(frame, features, tables=tenant.tables, definitions=tenant.definitions).toArrow().sort_by("number").select(features)
    assert [shown(row) for row in found.to_pylist()] == [values for _, _, values in answered]
    assert len({str(values) for _, _, values in answered}) > 3
