"""A source that its breaker has paused: 503 with clear words until the pause is over, others not touched."""

import asyncio
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from starlette.testclient import TestClient

from millrace.definitions import Definitions
from millrace.tables.catalogue import OPS_ALERTS
from millrace.tables.delta import TenantTables
from serving.collector.app import build_app
from serving.collector.figures import Figures
from serving.collector.pausing import PausingProducer, pausing
from serving.collector.refusals import Refusal

DEFINITIONS = Definitions.model_validate({"views": {}, "sources": {"shop": {"breaker": {"action": "pause"}}, "blog": {"breaker": {"action": "flag"}}}})
EVENT = {"userId": "u", "event": "x"}


def raise_alert(tables: TenantTables, source: str, until: datetime | None) -> None:
    row = {"raised_at": datetime.now(UTC), "source": source, "kind": "rejects", "action": "pause", "until": until, "received": 20, "rejected": 12}
    tables.add(OPS_ALERTS, pa.Table.from_pylist([row], schema=OPS_ALERTS.schema))


def test_a_paused_source_is_told_why_and_when_to_come_again_and_others_go_on(tmp_path, producer, keys):
    tables = TenantTables(tmp_path, "t")
    raise_alert(tables, "shop", datetime.now(UTC) + timedelta(seconds=30))
    raise_alert(tables, "blog", None)
    keys_of = keys.write_keys(DEFINITIONS.sources)
    with TestClient(build_app(producer, keys, definitions=DEFINITIONS, tables=tables)) as client:
        answers = {source: client.post("/v1/track", json=EVENT, auth=(keys_of[source], "")) for source in ("shop", "blog", "http")}
        metrics = client.get("/metrics").text
    assert {source: answer.status_code for source, answer in answers.items()} == {"shop": 503, "blog": 200, "http": 200}
    assert answers["shop"].json()["error"] == "source_paused"
    assert "because 12 of 20 of its records were rejected" in answers["shop"].json()["message"]
    assert 1 <= int(answers["shop"].headers["Retry-After"]) <= 30
    assert producer.sources == ["blog", "http"]
    assert 'collector_source_paused{source="shop"} 1.0' in metrics
    assert 'collector_requests_total{call="track",outcome="source_paused"} 1.0' in metrics


class Clock:
    now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def test_a_source_comes_back_when_its_pause_is_over_and_when_somebody_takes_the_alert_back(tmp_path, producer):
    asyncio.run(comes_back(TenantTables(tmp_path, "t"), Clock(), producer))
    assert [value for _, value in producer.records] == [b"1", b"3", b"5"]


async def comes_back(tables: TenantTables, clock: Clock, producer) -> None:
    found = PausingProducer(producer, tables, Figures(producer.readiness, ()), clock=clock)
    found.look()
    found.publish([("", b"1")], "shop")
    raise_alert(tables, "shop", clock.now + timedelta(seconds=600))
    found.look()
    with pytest.raises(Refusal, match="paused until 2026-03-01T00:10:00Z") as caught:
        found.publish([("", b"2")], "shop")
    assert caught.value.retry_after_s == 60
    clock.now += timedelta(seconds=600)
    found.publish([("", b"3")], "shop")
    clock.now -= timedelta(seconds=600)
    raise_alert(tables, "shop", clock.now + timedelta(seconds=900))
    found.look()
    with pytest.raises(Refusal):
        found.publish([("", b"4")], "shop")
    tables.open(OPS_ALERTS).delete("source = 'shop'")
    found.look()
    found.publish([("", b"5")], "shop")


def test_without_a_breaker_that_pauses_nothing_stands_before_the_producer(tmp_path, producer):
    flagging = Definitions.model_validate({"views": {}, "sources": {"blog": {"breaker": {"action": "flag"}}}})
    assert pausing(producer, TenantTables(tmp_path, "t"), flagging, Figures(producer.readiness, ())) is producer
