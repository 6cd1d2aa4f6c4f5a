"""A receipt gives its answer again, byte by byte, from the tables alone."""

from datetime import datetime

import pytest
from deltalake import DeltaTable

from millrace.tables.catalogue import BATCH_NODES, SPEED_EDGES_TABLE, speed_view
from serving.store.answers import Profile, encode_json
from serving.store.replay import ReceiptExpired, replay
from serving.store.store import Store
from tests.serving.store.by_hand import DEFINITIONS, SECRET, TRAITS, HandMade, Order, definitions_of
from tests.serving.store.stores import StartStore, wait_until

ANN, BOB, DEVICE = "user_id:ann", "user_id:bob", "anonymous_id:d"


def again(store: Store, profile: Profile) -> bytes:
    return replay(store.tables, profile.receipt.id, definitions=DEFINITIONS, sealer=store.sealer, secret=SECRET, now=store.clock())


def ask(store: Store, node: str, as_of: str | None = None) -> Profile:
    profile = store.profile(node, datetime.fromisoformat(as_of) if as_of else None)
    assert profile is not None
    return profile


def test_an_answer_is_replayed_to_the_same_bytes_before_and_after_publishes(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN, revenue="1.5", also=(DEVICE,)), Order(BOB, store="south"))
    store = start_store()
    answers = [ask(store, ANN)]
    tenant.write(Order(ANN, revenue="2", store="east"), Order(DEVICE, at="2025-01-09T12:00:00Z"))
    tenant.publish(cut=1)
    wait_until(lambda: (store.status().manifest_id, store.status().head) == (1, 2))
    answers += [ask(store, node) for node in (ANN, BOB, DEVICE)]
    tenant.write(Order(BOB, also=(ANN,)))
    wait_until(lambda: store.status().head == 3)
    answers += [ask(store, ANN, "2025-01-10T00:00:00Z"), ask(store, DEVICE)]
    tenant.publish(cut=3)
    wait_until(lambda: store.status().manifest_id == 2)
    answers.append(ask(store, BOB))
    tenant.write(Order(ANN))
    assert [again(store, answer) for answer in answers] == [encode_json(answer) for answer in answers]


def test_an_incomplete_answer_is_replayed_as_incomplete(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    tenant.begin(Order(ANN))
    tenant.begin(Order(ANN))
    tenant.commit(1, epoch=3)
    store = start_store()
    wait_until(lambda: not store.status().complete)
    answer = ask(store, ANN)
    assert (answer.receipt.complete, again(store, answer)) == (False, encode_json(answer))


def test_a_receipt_whose_speed_rows_were_trimmed_has_expired(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    store = start_store()
    answer = ask(store, ANN)
    for table in (speed_view("person", tenant.view), SPEED_EDGES_TABLE):
        DeltaTable(tenant.tables.path(table)).delete("epoch <= 1")
    with pytest.raises(ReceiptExpired, match="no longer kept"):
        again(store, answer)


def test_a_receipt_whose_batch_version_was_vacuumed_has_expired(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    tenant.publish(cut=1)
    store = start_store()
    answer = ask(store, ANN)
    tenant.publish(cut=1)
    DeltaTable(tenant.tables.path(BATCH_NODES)).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(ReceiptExpired, match="no longer kept"):
        again(store, answer)


def test_a_receipt_from_before_the_first_publish_needs_the_definitions_of_then(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN))
    store = start_store()
    answer = ask(store, ANN)
    other = definitions_of({"spend": TRAITS["spend"]})
    with pytest.raises(ReceiptExpired, match="definitions"):
        replay(store.tables, answer.receipt.id, definitions=other, sealer=store.sealer, secret=SECRET, now=store.clock())
