"""Data health over HTTP: the last window of each source, freshness as of now, figures for Prometheus."""

from pathlib import Path

import pytest

from millrace.definitions import Definitions
from tests.serving.api.conftest import OpenApi
from tests.serving.data_health.logged import DEFINITIONS, HOUR, START, Log, Sent, watch
from tests.serving.store.by_hand import DEFINITIONS as TRAITS
from tests.serving.store.stores import NOW, StartStore

SHOP = Definitions.model_validate(TRAITS.model_dump(exclude_defaults=True) | {"sources": {"shop": {"freshness": "15m"}}})
BEFORE = NOW / 1_000_000 - START


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """A day and an hour of the shop until half an hour ago; then an hour without it."""
    log = Log(tmp_path)
    first = (BEFORE // HOUR - 27) * HOUR
    for hour in range(27):
        log.write(*(Sent(first + hour * HOUR + 36 * number, "shop" if hour < 26 else "app") for number in range(100)), Sent(first + hour * HOUR + 3_599, "Not one of ours"))
    watch(log, until=first + 27 * HOUR, now=BEFORE, definitions=SHOP.model_copy(update={"views": DEFINITIONS.views}))
    return log


def test_each_source_has_its_last_window_with_bands_freshness_and_what_is_open(log: Log, start_store: StartStore, open_api: OpenApi) -> None:
    answer = open_api(start_store(SHOP, wait=False)).get("/v1/data-health").json()
    assert (answer["window"], answer["problem"], answer["head"]) == ({"start": "2025-01-10T11:00:00Z", "end": "2025-01-10T12:00:00Z"}, None, 27)
    assert [one["source"] for one in answer["sources"]] == ["(other)", "*", "app", "shop"]
    shop = answer["sources"][3]
    assert shop["freshness"] == {"last_received_at": "2025-01-10T10:59:24Z", "age_seconds": 5_436, "promise_seconds": 900.0, "breached_since": "2025-01-10T10:59:24Z"}
    (silence,) = shop["anomalies"]
    assert (silence["measure"], silence["observed"], silence["since"]) == ("received", 0.0, "2025-01-10T11:00:00Z")
    assert silence["sentence"].startswith("From 2025-01-10 11:00 to 2025-01-10 12:00 UTC shop sent 0 records; ")
    (received,) = shop["measures"]
    assert (received["state"], received["learned_windows"], received["learned_by"]) == ("anomaly", 26, "all")
    assert answer["sources"][2]["measures"][0]["state"] == "learning"


def test_one_source_may_be_asked_for(log: Log, start_store: StartStore, open_api: OpenApi) -> None:
    api = open_api(start_store(SHOP, wait=False))
    assert [one["source"] for one in api.get("/v1/data-health?source=*").json()["sources"]] == ["*"]
    refused = api.get("/v1/data-health?source=shp")
    assert (refused.status_code, refused.json()["error"]) == (400, "unknown_source")
    assert "allowed are (other), *, app, shop" in refused.json()["message"]


def test_it_follows_new_windows(log: Log, start_store: StartStore, open_api: OpenApi) -> None:
    api = open_api(start_store(SHOP, wait=False))
    assert api.get("/v1/data-health").json()["window"]["end"] == "2025-01-10T12:00:00Z"
    watch(log, until=BEFORE + HOUR, now=BEFORE + HOUR, definitions=SHOP)
    assert api.get("/v1/data-health").json()["window"]["end"] == "2025-01-10T13:00:00Z"


def test_metrics_name_declared_sources_only(log: Log, start_store: StartStore, open_api: OpenApi) -> None:
    text = open_api(start_store(SHOP, wait=False)).get("/metrics", headers={"Authorization": ""}).text
    assert 'data_health_anomalies{measure="received",source="shop"} 1.0' in text
    assert 'data_health_freshness_breached{source="shop"} 1.0' in text and 'data_health_age_seconds{source="shop"} 5436.0' in text
    assert "data_health_problem 0.0" in text and "data_health_watched_seconds 0.0" in text
    assert 'source="app"' not in text and "ours" not in text


def test_where_nobody_has_watched_it_says_so(start_store: StartStore, open_api: OpenApi) -> None:
    api = open_api(start_store(wait=False))
    answer = api.get("/v1/data-health").json()
    assert (answer["sources"], answer["window"], answer["watched_at"]) == ([], None, None)
    assert "start `python -m jobs.watch_data_health`" in answer["problem"]
    assert "data_health_problem 1.0" in api.get("/metrics").text


def test_it_needs_the_read_key(start_store: StartStore, open_api: OpenApi) -> None:
    assert open_api(start_store(wait=False)).get("/v1/data-health", headers={"Authorization": "Bearer wk_test"}).status_code == 401
