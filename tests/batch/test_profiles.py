"""serving/profiles at the head: a refresh of touched persons, a full publish, and a batch version that ends at the head give the same rows."""

import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.profiles import publish_profiles, refresh_profiles
from millrace.definitions import Definitions
from millrace.errors import NothingToDo
from millrace.identity.resolution import resolve
from millrace.keys import load_or_create_keys
from millrace.settings import BatchSettings
from millrace.tables.catalogue import EDGES
from tests.serving.store.by_hand import PATIENT, TRAITS, HandMade, Order, Placed, definitions_of, edges_of

NOW = datetime(2025, 1, 10, 12, 30, tzinfo=UTC)
NODES = [f"user_id:{letter}" for letter in "abcd"] + [f"anonymous_id:{letter}" for letter in "wxyz"]
ANN, BOB, VISITOR = NODES[0], NODES[1], NODES[4]
TIMES = [f"2025-01-{day:02d}T{hour:02d}:15:00Z" for day in (2, 8, 9, 10) for hour in (0, 9, 10, 12)]


class Joined(HandMade):
    """Persons without rules, in a tenant with keys."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, self.declared())
        load_or_create_keys(root, self.tables.tenant)

    def declared(self) -> Definitions:
        return definitions_of(TRAITS)


class Ruled(Joined):
    """Persons as today's rules allow them."""

    def declared(self) -> Definitions:
        return Definitions(views=definitions_of(TRAITS).views)

    def nodes(self, placed: list[Placed]) -> pa.Table:
        rules = self.definitions.identity.compiled(load_or_create_keys(self.tables.root, self.tables.tenant).token_secret)
        return resolve(pa.Table.from_pylist(edges_of(placed), schema=EDGES), rules).nodes


def no_spark() -> Any:
    raise AssertionError("what fits the driver needs no Spark")


def publish(tenant: HandMade, as_of: datetime = NOW) -> int:
    return publish_profiles(no_spark, tenant.tables, as_of=as_of)


def refresh(tenant: HandMade, as_of: datetime = NOW) -> int:
    return refresh_profiles(no_spark, tenant.tables, as_of=as_of)


def rows(tenant: HandMade, *, leave: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    found = tenant.tables.read("serving/profiles").drop_columns(list(leave)).to_pylist()
    assert len({row["person_id"] for row in found}) == len(found)
    return {row["person_id"]: row for row in found}


WHEN = ("as_of", "head")
"""When a row was computed."""
orders = st.builds(
    Order,
    node=st.sampled_from(NODES),
    at=st.sampled_from(TIMES),
    revenue=st.sampled_from(["0", "2.5", "-1", "10.000000001"]),
    store=st.sampled_from(["north", "south", "é"]),
    also=st.lists(st.sampled_from(NODES), max_size=2, unique=True).map(tuple),
)
epochs = st.lists(st.lists(orders, max_size=4), min_size=1, max_size=3)


@settings(PATIENT, max_examples=25)
@given(before=epochs, between=epochs, after=epochs, minutes=st.sampled_from([0, 10, 45]), ruled=st.booleans())
def test_a_refresh_gives_the_rows_of_a_full_publish_and_of_a_batch_version_that_ends_there(
    before: list[list[Order]], between: list[list[Order]], after: list[list[Order]], minutes: int, ruled: bool
) -> None:
    with tempfile.TemporaryDirectory() as root:
        tenant, later = (Ruled if ruled else Joined)(Path(root)), NOW + timedelta(minutes=minutes)
        for epoch in before:
            tenant.write(*epoch)
        tenant.publish(cut=tenant.epochs)
        for epoch in between:
            tenant.write(*epoch)
        publish(tenant)
        for epoch in after:
            tenant.write(*epoch)
        try:
            refresh(tenant, later)
        except NothingToDo:
            assert not any(after)
        refreshed = rows(tenant, leave=WHEN)
        publish(tenant, later)
        assert refreshed == rows(tenant, leave=WHEN)
        tenant.publish(cut=tenant.epochs)
        publish(tenant, later)
        version = ("cut", "manifest_id")
        assert rows(tenant, leave=(*WHEN, *version)) == {person: {name: row[name] for name in row if name not in version} for person, row in refreshed.items()}


@pytest.fixture
def tenant(tmp_path: Path) -> HandMade:
    """Six persons in a batch version, and their profiles."""
    found = Joined(tmp_path)
    found.write(*(Order(node) for node in NODES[:6]))
    found.publish(cut=1)
    publish(found)
    return found


def test_only_rows_of_touched_persons_are_computed_and_the_others_stay(tenant: HandMade) -> None:
    tenant.write(Order(ANN, revenue="2.5"))
    assert refresh(tenant, NOW + timedelta(minutes=5)) == 1
    found = {(row["head"], row["as_of"].minute): row["spend"] for row in rows(tenant).values()}
    assert found == {(1, 30): Decimal(10), (2, 35): Decimal("12.5")}


def test_two_persons_that_turn_out_to_be_one_leave_one_row(tenant: HandMade) -> None:
    tenant.write(Order(ANN, also=(VISITOR,)))
    assert refresh(tenant) == 1
    found = [row for row in rows(tenant).values() if row["identifier_count"] > 1]
    assert [(row["orders"], row["hints"]) for row in found] == [(3, "a•••, w•••")]
    assert len(rows(tenant)) == 5


def test_a_refresh_without_anything_new_commits_nothing(tenant: HandMade) -> None:
    tenant.write(Order(ANN))
    refresh(tenant)
    version = tenant.tables.open("serving/profiles").version()
    with pytest.raises(NothingToDo, match="holds every epoch up to 2 already"):
        refresh(tenant)
    tenant.write()
    with pytest.raises(NothingToDo):
        refresh(tenant)
    assert tenant.tables.open("serving/profiles").version() == version


@pytest.mark.parametrize("later", [timedelta(minutes=30), timedelta(minutes=31), timedelta(days=2)])
def test_at_the_end_of_a_tile_every_row_is_computed_again(tenant: HandMade, later: timedelta) -> None:
    tenant.write(Order(ANN))
    assert refresh(tenant, NOW + later) == 6


def test_another_batch_version_computes_every_row_again(tenant: HandMade) -> None:
    tenant.write(Order(ANN))
    tenant.publish(cut=2)
    assert refresh(tenant) == 6
    assert {row["manifest_id"] for row in rows(tenant).values()} == {2}


def test_when_many_are_touched_every_row_is_computed_again(tenant: HandMade) -> None:
    tenant.write(*(Order(node) for node in NODES[:3]))
    assert refresh(tenant) == 6


def test_epochs_under_other_definitions_wait_for_their_batch_version(tenant: HandMade) -> None:
    tenant.write(Order(ANN))
    tenant.definitions = definitions_of({"spend": TRAITS["spend"]})
    tenant.write(Order(BOB))
    assert refresh(tenant) == 1
    assert sorted((row["head"], row["orders"]) for row in rows(tenant).values()) == [(1, 1)] * 5 + [(2, 2)]
    tenant.publish(cut=3)
    assert refresh(tenant) == 6
    assert "orders" not in next(iter(rows(tenant).values()))


def test_before_the_first_publish_there_is_nothing_to_refresh(tmp_path: Path) -> None:
    tenant = Joined(tmp_path)
    tenant.write(Order(ANN))
    with pytest.raises(NothingToDo, match="no batch version is published yet"):
        refresh(tenant)


@pytest.mark.spark
def test_executors_write_the_rows_of_the_driver(tenant: HandMade, spark: Any) -> None:
    tenant.write(*(Order(node, at=at, revenue="0.5", store=at[8:10]) for node in NODES for at in TIMES), Order(BOB, also=(VISITOR,)))
    publish(tenant)
    by_driver = rows(tenant)
    assert publish_profiles(lambda: spark, tenant.tables, as_of=NOW, settings=BatchSettings(profiles_in_driver_rows=0)) == 7
    assert rows(tenant) == by_driver
