"""Rules of identity in the store over real tables and a real base: persons that later edges part, and receipts of them."""

import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millrace.definitions import Definitions
from millrace.identity.resolution import resolve
from millrace.tables.catalogue import EDGES, SPEED_EDGES
from serving.store.answers import Profile, encode_json
from serving.store.base_building import build_base
from serving.store.batch_base import BatchBase
from serving.store.persons import Persons
from serving.store.replay import replay
from serving.store.store import Store
from tests.laws.edge_sets import edge_sets, edges_table
from tests.laws.oracle_persons import judge
from tests.serving.store.by_hand import PATIENT, SECRET, HandMade, Order, Placed, edges_of
from tests.serving.store.stores import StartStore, wait_until

RULED = Definitions.model_validate({"views": {"person": {"key": "node", "traits": {"orders": {"op": "count", "event": "Order"}}}}})
RULES = RULED.identity.compiled(SECRET)
ANN, BOB, DEVICE, MAIL, PHONE = "user_id:ann", "user_id:bob", "anonymous_id:d", "email:m", "phone:p"


class Ruled(HandMade):
    """Batch versions with the persons that the rules allow."""

    def nodes(self, placed: list[Placed]) -> pa.Table:
        return resolve(pa.Table.from_pylist(edges_of(placed), schema=EDGES), RULES).nodes


@pytest.fixture
def ruled(tmp_path: Path) -> Ruled:
    return Ruled(tmp_path, RULED)


def orders(store: Store) -> dict[str, tuple[str, int, int]]:
    """For each node the person, how many identifiers it has, and its orders; each answer is computed again from its receipt."""
    found = {}
    for node in (ANN, BOB, DEVICE, MAIL, PHONE):
        if (profile := store.profile(node)) is not None:
            again = replay(store.tables, profile.receipt.id, definitions=RULED, sealer=store.sealer, secret=SECRET, now=store.clock())
            assert again == encode_json(profile)
            found[node] = (profile.id, len(profile.identifiers), value(profile))
    return found


def value(profile: Profile) -> int:
    return profile.traits["orders"].value  # type: ignore[return-value]


def counts(store: Store) -> dict[str, tuple[int, int]]:
    return {node: found[1:] for node, found in orders(store).items()}


def test_a_second_user_on_a_device_parts_a_person_of_the_batch_version(ruled: Ruled, start_store: StartStore) -> None:
    ruled.write(Order(ANN, also=(DEVICE,)), Order(DEVICE), Order(ANN, also=(MAIL,)))
    ruled.publish(cut=1)
    store = start_store(RULED)
    assert counts(store) == {ANN: (3, 3), DEVICE: (3, 3), MAIL: (3, 3)}
    ruled.write(Order(BOB, also=(DEVICE,)), Order(DEVICE))
    wait_until(lambda: store.status().head == 2)
    parted = orders(store)
    assert counts(store) == {ANN: (2, 2), MAIL: (2, 2), DEVICE: (1, 2), BOB: (1, 1)}
    ruled.publish(cut=2)
    wait_until(lambda: store.status().manifest_id == 2)
    assert orders(store) == parted
    ruled.write(Order(BOB, also=(DEVICE,)), Order(ANN, also=(DEVICE,)), Order(BOB, also=(PHONE,)))
    wait_until(lambda: store.status().head == 3)
    assert counts(store) == {ANN: (2, 3), MAIL: (2, 3), DEVICE: (1, 2), BOB: (2, 3), PHONE: (2, 3)}


def test_an_edge_of_more_trust_takes_an_address_from_one_person_to_another(ruled: Ruled, start_store: StartStore) -> None:
    """Before the cut the mail is Ann's only by way of a phone, and Bob's by a device; then Bob shows it himself."""
    ruled.write(Order(ANN, also=(PHONE,)), Order(MAIL, also=(PHONE,)), Order(MAIL, also=(DEVICE,)), Order(BOB, also=(DEVICE,)))
    ruled.publish(cut=1)
    store = start_store(RULED)
    assert counts(store) == {ANN: (3, 3), PHONE: (3, 3), MAIL: (3, 3), BOB: (2, 1), DEVICE: (2, 1)}
    ruled.write(Order(BOB, also=(MAIL,)))
    wait_until(lambda: store.status().head == 2)
    moved = orders(store)
    assert counts(store) == {ANN: (2, 1), PHONE: (2, 1), MAIL: (3, 4), BOB: (3, 4), DEVICE: (3, 4)}
    ruled.publish(cut=2)
    wait_until(lambda: store.status().manifest_id == 2)
    assert orders(store) == moved


@settings(PATIENT, max_examples=25)
@given(sightings=edge_sets(), cut=st.integers(0, 6), step=st.integers(1, 3))
def test_over_a_real_base_the_persons_are_those_of_all_edges(sightings: list, cut: int, step: int) -> None:
    placed = [Placed(Order(one, also=(other,) if other != one else ()), at[0], at[2]) for one, other, at in sightings]
    sightings = [(one, other, (at[0], 0, at[2])) for one, other, at in sightings]
    with tempfile.TemporaryDirectory() as folder:
        tenant = Ruled(Path(folder), RULED)
        tenant.log, tenant.epochs = placed, 6
        manifest = tenant.publish(cut=cut)
        (Path(folder) / "base").mkdir()
        build_base(tenant.tables, manifest, Path(folder) / "base")
        opened = BatchBase(Path(folder) / "base", manifest)
        base, persons = opened.reader(), Persons(RULES)
        for start in range(cut, 6, step):
            rows = [one for one in sightings if start < one[2][0] <= min(start + step, 6)]
            persons.apply(persons.prepare(edges_table(rows, SPEED_EDGES), base))
        for person, nodes in judge(sightings).members.items():
            for node in nodes:
                found = persons.find(node, base)
                assert found is not None and (found.id, {member.node for member in found.members}) == (person, nodes)
        opened.close()
