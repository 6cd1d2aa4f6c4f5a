"""Online features: typed as the training sets are, null for who is unknown or for what is too old, all at one head."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from millrace.errors import ConfigurationError
from millrace.identity.nodes import node_of
from millrace.tables.catalogue import profiles_table
from serving.store.features import get_online_features
from tests.serving.store.by_hand import DEFINITIONS, SECRET, TRAITS, HandMade, Order, definitions_of
from tests.serving.store.stores import StartStore, builds_in_process, start_store, tenant

__all__ = ["builds_in_process", "start_store", "tenant"]

ANN, BOB = (node_of("user_id", name, SECRET) or "" for name in ("ann", "bob"))
ALL = [f"person__{name}" for name in TRAITS]


def test_values_of_both_layers_come_typed_under_the_names_of_training_sets(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN, revenue="2.50", store="south"))
    tenant.publish(1)
    tenant.write(Order(ANN, at="2025-01-10T12:10:00Z", revenue="4"), Order(BOB, at="2024-12-01T00:00:00Z", revenue="1"))
    found = get_online_features(start_store(), ["user_id:bob", "user_id:ann", "user_id:bob"], ["person__spend", "person__orders_3h", "person__last_store"], secret=SECRET)
    assert found.select(["key", "person__spend", "person__orders_3h", "person__last_store", "head", "cut"]).to_pylist() == [
        {"key": "user_id:bob", "person__spend": Decimal(1), "person__orders_3h": 0, "person__last_store": "north", "head": 2, "cut": 1},
        {"key": "user_id:ann", "person__spend": Decimal("6.5"), "person__orders_3h": 2, "person__last_store": "north", "head": 2, "cut": 1},
        {"key": "user_id:bob", "person__spend": Decimal(1), "person__orders_3h": 0, "person__last_store": "north", "head": 2, "cut": 1},
    ]


def test_every_feature_has_the_type_it_has_in_the_open_table_also_when_nobody_is_known(start_store: StartStore) -> None:
    found = get_online_features(start_store(), ["user_id:nobody", "nonsense"], ALL, secret=SECRET)
    schema = profiles_table(DEFINITIONS.views["person"]).schema
    assert found.schema.types[1 : 1 + len(ALL)] == [schema.field(name).type for name in TRAITS]
    assert found.num_rows == 2 and all(found[name].null_count == 2 for name in (*ALL, "head"))


def test_as_of_moves_the_windows(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN, at="2025-01-02T12:00:00Z", revenue="3"))
    spend = [
        get_online_features(start_store(), ["user_id:ann"], ["person__spend_2d"], secret=SECRET, as_of=as_of)["person__spend_2d"].to_pylist()
        for as_of in (datetime(2025, 1, 3, tzinfo=UTC), None)
    ]
    assert spend == [[Decimal(3)], [Decimal(0)]]


def test_a_last_value_is_null_as_soon_as_it_is_older_than_its_time_to_live(tenant: HandMade, start_store: StartStore) -> None:
    tenant.write(Order(ANN, at="2025-01-10T10:00:00Z"))
    store, at = start_store(), datetime(2025, 1, 10, 12, tzinfo=UTC)
    for as_of, value in ((at, "north"), (at + timedelta(microseconds=1), None)):
        assert get_online_features(store, ["user_id:ann"], ["person__last_store:2h"], secret=SECRET, as_of=as_of)["person__last_store"].to_pylist() == [value]


def test_expressions_are_computed_from_the_traits_they_name(tenant: HandMade, start_store: StartStore) -> None:
    tenant.definitions = definitions_of(TRAITS | {"share": {"expr": "spend_2d / spend"}, "is_much": {"expr": "share > 0.5"}})
    tenant.write(Order(ANN, revenue="3"), Order(ANN, at="2024-01-01T00:00:00Z", revenue="1"))
    found = get_online_features(start_store(tenant.definitions), ["user_id:ann"], ["person__is_much", "person__share"], secret=SECRET)
    assert found.select([1, 2]).to_pylist() == [{"person__is_much": True, "person__share": Decimal("0.75")}]
    assert found.schema.field("person__is_much").type == pa.bool_()


@pytest.mark.parametrize(
    ("feature", "says"),
    [
        ("person__spent", "person__spend"),
        ("spend", "view__trait"),
        ("person__spend:2h", "ttl"),
        ("person__last_store:soon", "'soon' is not a length"),
    ],
)
def test_a_feature_that_is_wrong_is_told_with_what_is_allowed(start_store: StartStore, feature: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        get_online_features(start_store(), ["user_id:ann"], ["person__orders", feature], secret=SECRET)
