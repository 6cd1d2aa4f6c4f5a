"""Online features: the newest values of features of many people, from the store, without a JVM. Programs and serving/api/features.py call it.

The names, the types and, at the instant an answer is given, the values are those of ``get_historical_features`` (batch/features): both finish the same states.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import pyarrow as pa

from millrace.definitions import Definitions
from millrace.features import Feature, ViewFeatures, by_view, chosen_features
from millrace.identity.nodes import node_of_key
from millrace.tables.catalogue import DERIVED_TYPES, trait_type
from millrace.traits.derived import evaluate
from millrace.traits.finish import Value, micros, show, show_as
from millrace.traits.finished_columns import typed
from serving.store.answers import Pinned
from serving.store.layout import Layout, decode
from serving.store.plan import Plan
from serving.store.several import Several
from serving.store.store import Store

PERSON = "person"
RECEIPT = pa.schema([("manifest_id", pa.int64()), ("cut", pa.int64()), ("head", pa.int64()), ("decisions", pa.int64()), ("definitions_hash", pa.string())])
"""What a row of online features stands on; null where nobody has seen the identifier."""


def get_online_features(store: Store, keys: Sequence[str], features: Sequence[str], *, secret: bytes, as_of: datetime | None = None) -> pa.Table:
    """One row for each key (``namespace:value``) in their order: ``key``, a column a feature, and the columns of RECEIPT; all stand on one head. ``as_of`` moves the end
    of the windows (default: now). Null features for who is unknown. ConfigurationError when a feature is not served."""
    pinned = store.pin([node_of_key(key, secret) for key in keys])
    at = store.clock() if as_of is None else micros(as_of)
    reader = reader_of(served_plan(pinned, store.definitions), tuple(features))
    rows = [None if one is None else reader.read(one, at, store.clock()) for one in pinned]
    columns: dict[str, pa.Array] = {"key": pa.array(keys, pa.string())}
    for feature in reader.features:
        kind = reader.types[feature.name]
        columns[feature.name] = pa.array([None if row is None else _typed(row[feature.name], kind) for row in rows], kind)
    for field in RECEIPT:
        columns[field.name] = pa.array([None if one is None else getattr(one.point, field.name) for one in pinned], field.type)
    return pa.table(columns)


class FeatureReader:
    """Some features over one layout of the store's states."""

    def __init__(self, view: ViewFeatures, layout: Layout) -> None:
        self.features, self._view = view.features, view.view
        self._readings = {name: Several(trait, layout) for name, trait in view.view.traits.items()}
        answers = {one.name: one.answers for one in view.view.compiled}
        self._derived = {feature.name: answers[feature.trait] for feature in view.features if feature.trait in answers}
        self.types = {
            feature.name: DERIVED_TYPES[answers[feature.trait]] if feature.trait in answers else trait_type(view.view.traits[feature.trait]) for feature in view.features
        }  # fmt: skip

    def read(self, pinned: Pinned, at: int, asked_at: int = 0) -> dict[str, Any]:
        """Values as of ``at``, without what has a term over when they are asked, in the Python form of the algebra, by the features' names."""
        batch, speed = [decode(slots) for slots in pinned.batch], [decode(slots) for slots in pinned.speed]
        states = {name: reading.merged(reading.span_at(at, asked_at), batch, speed)[0] for name, reading in self._readings.items()}
        values = {name: reading.tell(states[name], at).value for name, reading in self._readings.items()}
        values |= evaluate(self._view.compiled, values, at)
        return {feature.name: values[feature.trait] if _is_living(feature, states.get(feature.trait), at) else None for feature in self.features}

    def show(self, values: dict[str, Any]) -> dict[str, Value]:
        """Values as answers have them."""
        shown = {}
        for feature in self.features:
            kind, value = self._derived.get(feature.name), values[feature.name]
            shown[feature.name] = show(self._view.traits[feature.trait], value) if kind is None else show_as(kind, value)
        return shown


@lru_cache(64)
def reader_of(plan: Plan, features: tuple[str, ...]) -> FeatureReader:
    """The reader of these features; ConfigurationError with everything that is wrong with them."""
    views = {PERSON: plan.view}
    (view,) = by_view(chosen_features(features, views), views)
    return FeatureReader(view, plan.layout)


def served_plan(pinned: Sequence[Pinned | None], definitions: Definitions) -> Plan:
    """The plan of what is served; of the definitions the store was started with when nobody is known."""
    found = next((one.plan for one in pinned if one is not None), None)
    return found or Plan(definitions.views[PERSON], Layout(definitions.views[PERSON]))


def _is_living(feature: Feature, states: Sequence[Any] | None, at: int) -> bool:
    """Whether the last value is not older than the feature's ttl."""
    ttl = feature.ttl_micros
    return ttl is None or not states or states[0] is None or at - states[0][0] <= ttl


def _typed(value: Any, kind: pa.DataType) -> Any:
    """A value in the Python form of the algebra as Arrow takes it."""
    if value is None or not pa.types.is_list(kind):
        return typed(value, kind)
    if pa.types.is_struct(kind.value_type):
        inner = kind.value_type.field("value").type
        return [{"value": typed(one, inner), "count": count} for one, count in value]
    return [typed(one, kind.value_type) for one in value]
