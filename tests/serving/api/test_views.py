"""Views of other keys than persons over HTTP: the row of a key, all rows in pages, receipts, and what is refused."""

from typing import Any

import pytest

from millrace.definitions import Definitions
from millrace.traits.views import View
from serving.store.keyed import row_of
from tests.serving.api.conftest import OpenApi
from tests.serving.store.by_hand import TRAITS, WITH_SHOPS, HandMade, Order
from tests.serving.store.stores import StartStore, wait_until

ANN, BOB = "user_id:ann", "user_id:bob"
DAYS = Definitions(identity=WITH_SHOPS.identity, views={**WITH_SHOPS.views, "day": View.model_validate({"key": {"day": "event_date", "shop": "properties.store"}, "traits": TRAITS})})


@pytest.fixture
def tenant(tmp_path) -> HandMade:
    return HandMade(tmp_path, WITH_SHOPS)


def values(row: dict[str, Any], *names: str) -> list[Any]:
    return [row["traits"][name]["value"] for name in names]


def test_a_row_is_batch_and_what_came_after_the_cut(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN, revenue="2.50"), Order(BOB, store="south"))
    tenant.publish(cut=1)
    tenant.write(Order(BOB, revenue="1"), Order(BOB, revenue="4", store="east"))
    store = start_store(WITH_SHOPS)
    api = open_api(store)
    wait_until(lambda: store.status().head == 2)
    north = api.get("/v1/views/shop?store=north&as_of=2025-01-10T13:00:00Z").json()
    assert (north["view"], north["key"], values(north, "orders", "spend", "last_store")) == ("shop", {"store": "north"}, [2, "3.5", "north"])
    assert [north["traits"]["orders"]["layer"], north["receipt"]["head"], north["receipt"]["complete"]] == ["merged", 2, True]
    assert values(api.get("/v1/views/shop?store=south").json(), "orders") == [1]
    assert values(api.get("/v1/views/shop?store=east").json(), "orders", "spend") == [1, "4"]
    assert api.get("/v1/views/shop?store=west").status_code == 404


def test_receipts_give_the_row_again_byte_by_byte(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN, revenue="2.50"), Order(BOB, store="south"))
    tenant.publish(cut=1)
    tenant.write(Order(BOB, revenue="1"))
    store = start_store(WITH_SHOPS)
    api = open_api(store)
    wait_until(lambda: store.status().head == 2)
    for name in ("north", "south"):
        answer = api.get(f"/v1/views/shop?store={name}")
        assert api.get(f"/v1/receipts/{answer.json()['receipt']['id']}:replay").content == answer.content
    tenant.tables.replace(_increments(tenant), _increments(tenant).schema.empty_table())
    assert api.get(f"/v1/receipts/{answer.json()['receipt']['id']}:replay").status_code == 410


def _increments(tenant: HandMade) -> Any:
    from millrace.tables.catalogue import speed_view

    return speed_view("shop", tenant.definitions.views["shop"])


def test_all_rows_come_in_pages_in_the_order_of_their_keys(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(*(Order(ANN, store=f"s{n}") for n in (5, 1, 9)))
    tenant.publish(cut=1)
    tenant.write(*(Order(ANN, store=f"s{n}") for n in (7, 1, 3)))
    store = start_store(WITH_SHOPS)
    api = open_api(store)
    wait_until(lambda: store.status().head == 2)
    seen, after = [], ""
    while after is not None:
        page = api.get("/v1/views/shop", params={"limit": 2, "after": after}).json()
        seen += [(row["key"]["store"], *values(row, "orders")) for row in page["rows"]]
        after = page["next"]
    assert seen == [("s1", 2), ("s3", 1), ("s5", 1), ("s7", 1), ("s9", 1)]


@pytest.mark.parametrize(
    ("question", "status", "error"),
    [
        ("shop?stor=north", 400, "unknown_parameter"),
        ("shop?store=north&limit=3", 400, "unknown_parameter"),
        ("shop?limit=0", 400, "bad_limit"),
        ("shop?limit=many", 400, "wrong_shape"),
        ("shop?as_of=yesterday", 400, "bad_as_of"),
        ("person?store=north", 404, "unknown_view"),
        ("shops", 404, "unknown_view"),
    ],
)
def test_what_cannot_be_answered_is_refused(tenant: HandMade, start_store: StartStore, open_api: OpenApi, question: str, status: int, error: str) -> None:
    tenant.write(Order(ANN))
    answer = open_api(start_store(WITH_SHOPS)).get(f"/v1/views/{question}")
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_there_is_a_list_of_the_views_and_nothing_without_the_read_key(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN))
    api = open_api(start_store(WITH_SHOPS))
    assert api.get("/v1/views").json() == {"views": [{"view": "shop", "key": {"store": "properties.store"}, "traits": list(TRAITS)}]}
    for path in ("/v1/views", "/v1/views/shop?store=north"):
        assert api.get(path, headers={"Authorization": "Bearer wk_test"}).status_code == 401


def test_part_of_a_key_is_refused_and_a_declared_view_that_is_not_built_yet_says_so(tenant: HandMade, start_store: StartStore, open_api: OpenApi) -> None:
    tenant.write(Order(ANN))
    tenant.publish(cut=1)
    store = start_store(WITH_SHOPS)
    store.newest = lambda: DAYS
    api = open_api(store)
    assert (api.get("/v1/views/day").status_code, api.get("/v1/views/day").json()["error"]) == (503, "not_ready")
    wait_until(lambda: store.filling_back() is not None)
    assert "day.orders" in store.filling_back().traits


def test_an_epoch_without_its_row_that_shows_it_is_not_answered_from(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    store = start_store(WITH_SHOPS)
    wait_until(lambda: store.status().head == 1)
    (before,) = store.pin_keys("shop", ["north"])
    epochs = tenant.begin(Order(ANN))
    tenant.tables.replace(_increments(tenant), tenant.tables.read(_increments(tenant)).filter([True] * 2 + [False] * (len(tenant.tables.read(_increments(tenant))) - 2)))
    tenant.commit(1)
    wait_until(lambda: store.status().problem is not None)
    assert (store.status().head, store.status().complete) == (epochs - 1, False)
    assert "speed/shop" in store.status().problem
    (after,) = store.pin_keys("shop", ["north"])
    assert row_of(before, at=1, now=1, sealer=store.sealer).traits == row_of(after, at=1, now=1, sealer=store.sealer).traits


def test_a_view_that_is_declared_otherwise_is_no_longer_answered(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    tenant.publish(cut=1)
    store = start_store(WITH_SHOPS)
    assert set(store.keyed_views()) == {"shop"}
    other = View.model_validate({"key": "properties.shop", "traits": TRAITS})
    store.newest = lambda: Definitions(identity=WITH_SHOPS.identity, views={**WITH_SHOPS.views, "shop": other})
    wait_until(lambda: not store.keyed_views())
