"""Keys of views: how they are declared, what key an event has, and what is refused."""

import pyarrow as pa
import pytest
from pydantic import ValidationError

from millrace.definitions import Definitions
from millrace.enrichment.rules import Enrichment
from millrace.errors import ConfigurationError
from millrace.features import chosen_features, feature_names
from millrace.tables.catalogue import TIME, rows_table
from millrace.traits.fold import fold_events, value_column
from millrace.traits.keys import LONGEST_KEY, Key
from millrace.traits.views import View

TRAITS = {"orders": {"op": "count"}}
MIDNIGHT = 1_735_689_600_000_000
"""2025-01-01T00:00:00Z"""


def view(key, **more) -> View:
    return View.model_validate({"key": key, "traits": TRAITS, **more})


@pytest.mark.parametrize(
    ("declared", "parts"),
    [
        ("node", ()),
        ("properties.store_id", (("store_id", "properties.store_id"),)),
        (["properties.Store_ID", "source"], (("source", "source"), ("store_id", "properties.Store_ID"))),
        ({"store": "properties.store_id", "day": "event_date"}, (("day", "event_date"), ("store", "properties.store_id"))),
    ],
)
def test_a_key_is_a_node_a_path_paths_or_paths_by_name(declared, parts):
    assert view(declared).keyed.parts == parts


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ("account", "allowed are node, properties"),
        ("properties.store-id", "needs another name"),
        ([], "needs at least one path"),
        (5, "a key is node, a path"),
        (["properties.a.id", "context.b.id"], "the same name"),
        ({"orders": "properties.id"}, "is a column that the view's table has anyway"),
        ({"after": "properties.id"}, "is a column that the view's table has anyway"),
        ("enriched.campain.name", "campaign.name"),
    ],
)
def test_a_wrong_key_is_refused_with_what_is_allowed(declared, told):
    with pytest.raises(ValidationError, match=told):
        view(declared)


def test_only_events_with_all_parts_have_a_key():
    key = Key((("a", "properties.a"), ("b", "properties.b")))
    columns = [pa.array(["1", None, "1", "", "x" * 200]), pa.array(["2", "2", None, "2", "ä" * 100])]
    found = key.texts(columns, pa.array([MIDNIGHT] * 5, TIME)).to_pylist()
    assert found == ['["1","2"]', None, None, None, None]
    assert key.values(found[0]) == ["1", "2"] and key.text({"b": "2", "a": "1"}) == found[0]


def test_a_key_of_one_part_is_its_text_up_to_a_length():
    texts = ["12", "", None, "ä" * (LONGEST_KEY // 2), "ä" * (LONGEST_KEY // 2) + "x"]
    assert Key((("a", "properties.a"),)).texts([pa.array(texts)], pa.array([MIDNIGHT] * 5, TIME)).to_pylist() == ["12", None, None, texts[3], None]


def test_a_date_is_the_day_of_the_time_zone_of_the_view():
    times = pa.array([MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 5 * 3_600_000_000], TIME)
    assert view("event_date").keyed.texts([], times).to_pylist() == ["2024-12-31", "2025-01-01", "2025-01-01"]
    assert view("event_date", time_zone="America/New_York").keyed.texts([], times).to_pylist() == ["2024-12-31", "2024-12-31", "2025-01-01"]


def test_events_without_a_key_touch_no_row():
    keyed = view({"store": "properties.store"})
    events = pa.table(
        {
            "node": ["u"] * 3, "event_time": pa.array([MIDNIGHT] * 3, TIME), "partition": pa.array([0] * 3, pa.int32()), "offset": pa.array([1, 2, 3], pa.int64()),
            "type": ["track"] * 3, "name": ["x"] * 3, value_column("properties.store", "string"): ["north", None, "north"],
        }
    )  # fmt: skip
    assert fold_events(events, keyed.states, keyed.keyed).select(["key", "count"]).to_pylist() == [{"key": "north", "count": 2}]
    assert fold_events(events, keyed.states).select(["key", "count"]).to_pylist() == [{"key": "u", "count": 3}]


def test_other_rules_of_enriched_values_are_another_key_and_other_definitions():
    views = {"person": view("node"), "channel": view("enriched.referrer.class")}
    one, other = (Definitions(views=views, enrichment=Enrichment.model_validate({"referrer": rules})) for rules in ({}, {"classes": {"news.example.com": "social"}}))
    assert one.enriched_families == ("referrer",)
    assert one.views["channel"].keyed != other.views["channel"].keyed and one.hash != other.hash
    assert Definitions.from_json(one.to_json()).hash == one.hash
    apart = (Definitions(views={"person": view("node")}, enrichment=one.enrichment) for one in (one, other))
    assert len({each.hash for each in apart}) == 1


def test_definitions_with_another_key_have_another_hash_and_those_without_keep_theirs():
    plain = Definitions(views={"person": view("node")})
    by_store, by_shop = (Definitions(views={"person": view("node"), "store": view(f"properties.{name}")}) for name in ("store", "shop"))
    assert len({plain.hash, by_store.hash, by_shop.hash}) == 3
    assert Definitions.from_json(by_store.to_json()).views["store"].keyed == by_store.views["store"].keyed


def test_rows_have_a_column_a_part_of_the_key():
    assert rows_table("sales", view({"day": "event_date", "store": "properties.store"})).schema.names[:3] == ["day", "store", "orders"]


def test_features_are_of_persons():
    views = {"person": view("node"), "store": view("properties.store")}
    assert feature_names(views) == ["person__orders"]
    with pytest.raises(ConfigurationError, match="view store is not of persons"):
        chosen_features(["store__orders"], views)
