"""What a reader sees: batch and speed merged at one head, whatever is published, rolled back, in flight or missing."""

import fcntl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable

from millrace.identity.nodes import person_id
from millrace.tables.catalogue import LEDGER, SPEED_EDGES_TABLE, speed_view
from millrace.tables.manifest import write_manifest
from serving.store.store import FillingBack, Store
from tests.serving.store.by_hand import TRAITS, HandMade, Order, definitions_of
from tests.serving.store.stores import StartStore, wait_until

ANN, BOB, PHONE, DEVICE = "user_id:ann", "user_id:bob", "phone:p", "anonymous_id:d"


def values(store: Store, node: str) -> dict[str, Any]:
    profile = store.profile(node)
    assert profile is not None
    return {name: trait.value for name, trait in profile.traits.items()}


def test_before_any_table_nobody_is_known_and_the_store_is_ready(start_store: StartStore) -> None:
    store = start_store()
    assert store.profile(ANN) is None
    assert (store.status().ready, store.status().head, store.status().manifest_id, store.status().problem) == (True, 0, None, None)


def test_an_epoch_shows_when_its_ledger_row_is_there(tenant: HandMade, start_store: StartStore) -> None:
    store = start_store()
    tenant.write(Order(ANN))
    wait_until(lambda: store.status().head == 1)
    assert values(store, ANN)["orders"] == 1


def test_batch_and_speed_are_merged_at_read(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN, revenue="10.50", store="north"))
    tenant.publish(cut=1)
    tenant.write(Order(ANN, at="2025-01-10T12:20:00Z", revenue="4.25", store="south"))
    store = start_store()
    assert values(store, ANN) == {
        "orders": 2, "spend": "14.75", "spend_2d": "14.75", "orders_3h": 2, "basket": "7.375", "basket_2d": "7.375", "smallest": "4.25", "last_store": "south",
        "first_at": "2025-01-10T12:00:00Z", "stores": 2, "stores_2d": 2,
    }  # fmt: skip


def test_each_trait_says_which_layers_it_came_from(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN, at="2025-01-01T12:00:00Z"))
    tenant.publish(cut=1)
    tenant.write(Order(ANN, at="2025-01-10T12:00:00Z"), Order(BOB, at="2025-01-02T12:00:00Z"))
    store = start_store()
    ann, bob = store.profile(ANN), store.profile(BOB)
    assert ann and bob
    assert [ann.traits[name].layer for name in ("orders", "spend_2d", "basket")] == ["merged", "speed", "merged"]
    assert [bob.traits[name].layer for name in ("orders", "spend_2d")] == ["speed", None]


def test_an_epoch_in_flight_is_invisible(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    store = start_store()
    tenant.begin(Order(ANN), Order(BOB))
    tenant.tables.read(speed_view("person", tenant.view))
    assert (values(store, ANN)["orders"], store.profile(BOB)) == (1, None)
    tenant.commit(2)
    wait_until(lambda: store.status().head == 2)
    assert (values(store, ANN)["orders"], values(store, BOB)["orders"]) == (2, 1)


def test_rows_of_an_epoch_in_flight_do_not_count_after_a_restart_either(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    tenant.begin(Order(ANN))
    assert values(start_store(), ANN)["orders"] == 1


def test_publishing_changes_no_answer_at_the_same_head(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN, also=(DEVICE,), revenue="1.1"), Order(BOB, revenue="7"))
    tenant.write(Order(ANN, at="2025-01-09T10:00:00Z", revenue="2.2", store="south"), Order(DEVICE, revenue="3"))
    tenant.write(Order(PHONE, also=(BOB,), store="east"))
    store = start_store()
    nodes = (ANN, BOB, DEVICE, PHONE)
    before = [(profile.id, profile.identifiers, values(store, node)) for node in nodes if (profile := store.profile(node))]
    for cut in (1, 2, 3):
        manifest = tenant.publish(cut)
        wait_until(lambda manifest=manifest: store.status().manifest_id == manifest.manifest_id)
        after = [(profile.id, profile.identifiers, values(store, node)) for node in nodes if (profile := store.profile(node))]
        assert (store.status().cut, store.status().head, after) == (cut, 3, before)


def test_a_rollback_reads_the_epochs_after_the_older_cut_again(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    first = tenant.publish(cut=1)
    tenant.write(Order(ANN, at="2025-01-10T11:00:00Z"))
    tenant.publish(cut=2)
    store = start_store()
    before = values(store, ANN)
    back = tenant.rollback(first)
    wait_until(lambda: store.status().manifest_id == back.manifest_id)
    assert (store.status().cut, store.status().head, values(store, ANN)) == (1, 2, before)


def test_compaction_counts_nothing_twice(tenant: HandMade, start_store: StartStore) -> None:
    store = start_store()
    for _ in range(4):
        tenant.write(Order(ANN))
    tenant.begin(Order(ANN))
    for table in (speed_view("person", tenant.view), SPEED_EDGES_TABLE, LEDGER):
        DeltaTable(tenant.tables.path(table)).optimize.compact()
    tenant.commit(1)
    tenant.write(Order(ANN))
    wait_until(lambda: store.status().head == 6)
    assert values(store, ANN)["orders"] == 6
    assert values(start_store(), ANN)["orders"] == 6


def test_a_hole_in_the_ledger_stops_the_head_and_says_so(tenant: HandMade, start_store: StartStore) -> None:
    store = start_store()
    tenant.write(Order(ANN))
    tenant.begin(Order(ANN))
    tenant.begin(Order(ANN))
    tenant.commit(1, epoch=3)
    wait_until(lambda: not store.status().complete)
    profile = store.profile(ANN)
    assert profile and (profile.receipt.head, profile.receipt.complete, profile.traits["orders"].value) == (1, False, 1)
    assert "no epoch 2" in (store.status().problem or "")


def test_an_epoch_that_comes_with_a_hole_behind_it_is_answered_as_incomplete(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    store = start_store()
    for _ in range(3):
        tenant.begin(Order(ANN))
    tenant.tables.add(LEDGER, tenant.ledger_rows((2, 1), (4, 1)))
    wait_until(lambda: store.status().head == 2)
    profile = store.profile(ANN)
    assert profile and (profile.receipt.head, profile.receipt.complete) == (2, False)


def test_a_missing_speed_file_keeps_the_last_provable_head(tenant: HandMade, start_store: StartStore) -> None:
    store = start_store()
    tenant.write(Order(ANN))
    wait_until(lambda: store.status().head == 1)
    tenant.begin(Order(ANN))
    (newest,) = {*files(tenant)} - {*files(tenant, version=DeltaTable(tenant.tables.path(speed_view("person", tenant.view))).version() - 1)}
    content = newest.read_bytes()
    newest.unlink()
    tenant.commit(1)
    wait_until(lambda: not store.status().complete)
    profile = store.profile(ANN)
    assert profile and (profile.receipt.complete, profile.traits["orders"].value) == (False, 1)
    newest.write_bytes(content)
    wait_until(lambda: store.status().complete and store.status().head == 2)
    assert values(store, ANN)["orders"] == 2


def test_trimmed_speed_tables_are_noticed_rather_than_answered_from(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    tenant.write(Order(ANN))
    for table in (speed_view("person", tenant.view), SPEED_EDGES_TABLE):
        DeltaTable(tenant.tables.path(table)).delete("epoch <= 1")
    store = start_store(wait=False)
    wait_until(lambda: store.status().problem is not None)
    assert not store.status().ready and store.profile(ANN) is None
    assert "epoch 1 has 1 events in the ledger but 0" in (store.status().problem or "")


def test_increments_that_do_not_count_every_event_of_the_ledger_are_not_answered_from(tenant: HandMade, start_store: StartStore) -> None:
    tenant.definitions = definitions_of({"events": {"op": "count", "window": "24h"}})
    store = start_store(tenant.definitions)
    tenant.write(Order(ANN), Order(BOB))
    wait_until(lambda: store.status().head == 1)
    tenant.begin(Order(ANN), Order(BOB))
    DeltaTable(tenant.tables.path(speed_view("person", tenant.view))).delete(f"epoch = 2 AND key = '{BOB}'")
    tenant.commit(2)
    wait_until(lambda: not store.status().complete)
    assert (store.status().head, values(store, BOB)) == (1, {"events": 1})
    assert "epoch 2 has 2 events in the ledger but 1 in the increments" in (store.status().problem or "")


def test_identifiers_seen_together_after_the_cut_join_persons(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN, revenue="1"))
    tenant.write(Order(PHONE, revenue="2"))
    tenant.publish(cut=2)
    store = start_store()
    tenant.write(Order(DEVICE, revenue="4", also=(PHONE,)))
    tenant.write(Order(ANN, revenue="8", also=(DEVICE,)))
    wait_until(lambda: store.status().head == 4)
    profiles = [store.profile(node) for node in (ANN, PHONE, DEVICE)]
    assert {profile.id for profile in profiles if profile} == {person_id(ANN)}
    assert {profile.traits["spend"].value for profile in profiles if profile} == {"15"}
    assert profiles[0] and [identifier.namespace for identifier in profiles[0].identifiers] == ["user_id", "phone", "anonymous_id"]
    assert [identifier.value for identifier in profiles[0].identifiers] == ["n•••", "p•••", "d•••"]


def test_the_earliest_member_names_a_person_even_if_a_later_epoch_brings_it(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(BOB))
    tenant.write(Order(ANN))
    tenant.publish(cut=2)
    store = start_store()
    assert (profile := store.profile(ANN)) and profile.id == person_id(ANN)
    tenant.write(Order(ANN, also=(BOB,)))
    wait_until(lambda: store.status().head == 3)
    assert (profile := store.profile(ANN)) and profile.id == person_id(BOB)


def test_a_manifest_whose_tables_are_gone_leaves_the_old_one_serving(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    good = tenant.publish(cut=1)
    store = start_store()
    tenant.write(Order(ANN))
    tenant.manifest(2, {name: version + 40 for name, version in good.tables.items()})
    wait_until(lambda: store.status().problem is not None)
    assert (store.status().manifest_id, store.status().complete, values(store, ANN)["orders"]) == (1, True, 2)
    assert tenant.publish(cut=2).manifest_id == 3
    wait_until(lambda: store.status().manifest_id == 3)
    assert store.status().problem is None


def test_a_manifest_whose_definitions_this_code_reads_differently_is_refused(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    good = tenant.publish(cut=1)
    store = start_store()
    write_manifest(tenant.tables, replace(good, manifest_id=2, definitions_hash="0123456789abcdef"))
    wait_until(lambda: store.status().problem is not None)
    assert (store.status().manifest_id, values(store, ANN)["orders"]) == (1, 1)
    assert "manifest 2 is not served: its definitions were 0123456789abcdef" in (store.status().problem or "")


def test_after_a_restart_an_older_manifest_serves_when_the_newest_cannot_be_opened(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    good = tenant.publish(cut=1)
    tenant.manifest(1, {name: version + 40 for name, version in good.tables.items()})
    store = start_store()
    assert (store.status().manifest_id, values(store, ANN)["orders"]) == (1, 1)
    assert "manifest 2 is not served" in (store.status().problem or "")


def test_epochs_under_other_definitions_stop_the_head_until_a_batch_brings_them_together(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    tenant.publish(cut=1)
    store = start_store()
    tenant.definitions = definitions_of({"spend": TRAITS["spend"]})
    tenant.write(Order(ANN))
    wait_until(lambda: not store.status().complete)
    assert (store.status().head, values(store, ANN)["orders"]) == (1, 1)
    assert "other definitions than manifest 1" in (store.status().problem or "")
    tenant.publish(cut=2)
    wait_until(lambda: store.status().manifest_id == 2)
    assert (store.status().head, store.status().complete, values(store, ANN)) == (2, True, {"spend": "20"})


def test_a_log_under_other_definitions_is_not_answered_from_before_the_first_publish(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    store = start_store(definitions_of({"spend": TRAITS["spend"]}), wait=False)
    wait_until(lambda: store.status().problem is not None)
    assert (store.status().ready, store.is_serving) == (False, False)
    assert "nothing is served yet: epoch 1 was written under other definitions than the definitions directory" in (store.status().problem or "")
    tenant.publish(cut=1)
    wait_until(lambda: store.status().ready)
    assert (store.status().manifest_id, store.status().complete, values(store, ANN)["orders"]) == (1, True, 1)


def test_a_trait_that_is_added_does_not_hold_up_the_others(tenant: HandMade, start_store: StartStore) -> None:
    more = definitions_of({**TRAITS, "largest": {"op": "max", "event": "Order", "value": "properties.revenue"}})
    tenant.write(Order(ANN))
    tenant.publish(cut=1)
    tenant.definitions = more
    tenant.write(Order(ANN))
    store = start_store(more)
    assert (store.status().head, store.status().complete, values(store, ANN)["orders"], "largest" in values(store, ANN)) == (2, True, 2, False)


def test_a_running_store_takes_in_epochs_with_a_trait_that_is_added_and_shows_it_from_its_publish_on(tenant: HandMade, start_store: StartStore) -> None:
    more = definitions_of({**TRAITS, "largest": {"op": "max", "event": "Order", "value": "properties.revenue"}})
    tenant.write(Order(ANN))
    tenant.publish(cut=1)
    store = start_store()
    tenant.definitions, store.newest = more, lambda: more
    assert store.filling_back() == FillingBack(["largest"], since=None, cut=1, epochs=1)
    tenant.write(Order(ANN))
    wait_until(lambda: store.status().head == 2)
    assert (store.status().complete, values(store, ANN)["orders"], "largest" in values(store, ANN)) == (True, 2, False)
    assert store.filling_back() == FillingBack(["largest"], since=2, cut=1, epochs=2)
    tenant.publish(cut=2)
    wait_until(lambda: store.status().manifest_id == 2)
    assert store.filling_back() is None
    assert (values(store, ANN)["orders"], values(store, ANN)["largest"]) == (2, "10")


def test_a_manifest_that_would_take_the_head_back_is_refused(tenant: HandMade, start_store: StartStore) -> None:
    new = definitions_of({"spend": TRAITS["spend"]})
    tenant.write(Order(ANN))
    old = tenant.publish(cut=1)
    tenant.definitions = new
    tenant.write(Order(ANN))
    tenant.publish(cut=2)
    tenant.write(Order(ANN))
    store = start_store(new)
    assert values(store, ANN) == {"spend": "30"}
    tenant.definitions = definitions_of(TRAITS)
    tenant.rollback(old)
    wait_until(lambda: store.status().problem is not None)
    assert (store.status().manifest_id, store.status().head, values(store, ANN)) == (2, 3, {"spend": "30"})
    assert "manifest 3 is not served: it reaches epoch 1 only and answers have come to 3" in (store.status().problem or "")


def test_a_base_is_built_once_and_older_ones_are_removed(tenant: HandMade, start_store: StartStore, tmp_path: Path) -> None:
    tenant.write(Order(ANN))
    tenant.publish(cut=1)
    folder = tmp_path / "t" / "store"
    (folder / ".building-9-1-dead").mkdir(parents=True)
    store = start_store()
    built = (folder / "base-1" / "data.mdb").stat().st_ino
    store.close()
    again = start_store()
    assert (folder / "base-1" / "data.mdb").stat().st_ino == built
    tenant.publish(cut=1)
    wait_until(lambda: again.status().manifest_id == 2 and [path.name for path in folder.iterdir()] == ["base-2"])
    assert values(again, ANN)["orders"] == 1


def test_a_base_that_another_store_uses_stays(tenant: HandMade, start_store: StartStore, tmp_path: Path) -> None:
    tenant.write(Order(ANN))
    tenant.publish(cut=1)
    store, folder = start_store(), tmp_path / "t" / "store"
    with open(folder / "base-1" / "in_use", "rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        tenant.publish(cut=1)
        wait_until(lambda: store.status().manifest_id == 2 and (folder / "base-2").exists())
        assert (folder / "base-1").exists()
    tenant.publish(cut=1)
    wait_until(lambda: [path.name for path in folder.iterdir()] == ["base-3"])


def test_a_damaged_base_is_built_again(tenant: HandMade, start_store: StartStore, tmp_path: Path) -> None:
    tenant.write(Order(ANN))
    tenant.publish(cut=1)
    start_store().close()
    (tmp_path / "t" / "store" / "base-1" / "data.mdb").write_bytes(b"\0" * 100)
    assert values(start_store(), ANN)["orders"] == 1


@pytest.mark.parametrize("nodes", [(), (ANN, None, "user_id:nobody", BOB)])
def test_many_are_pinned_in_order_at_one_head(tenant: HandMade, start_store: StartStore, nodes: tuple[str | None, ...]) -> None:
    tenant.write(Order(ANN), Order(BOB))
    pinned = start_store().pin(nodes)
    assert [one and one.node for one in pinned] == [node if node in (ANN, BOB) else None for node in nodes]
    assert {one.point.head for one in pinned if one} <= {1}


def files(tenant: HandMade, version: int | None = None) -> list[Path]:
    """Data files of speed/person at a version."""
    table = tenant.tables.open(speed_view("person", tenant.view), version=version)
    assert table is not None
    return [Path(uri) for uri in table.file_uris()]
