"""Features of questions from the merged states of their windows, each value by the functions every other reader finishes with. historical.py calls it on whole questions."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from batch.features.persons_then import QUESTION
from batch.features.windows_then import columns_of, prefix_of
from batch.finishing import finish_persons
from batch.merging import merge_rows
from millrace.columns.finish import window_column
from millrace.features import Feature, ViewFeatures
from millrace.tables.catalogue import DERIVED_TYPES, trait_type


def features_schema(views: Sequence[ViewFeatures]) -> pa.Schema:
    """A question and its features, in the types of serving/profiles."""
    derived = {(view.name, one.name): DERIVED_TYPES[one.answers] for view in views for one in view.view.compiled}
    return pa.schema(
        [
            *QUESTION,
            *(
                (feature.name, derived.get((view.name, feature.trait)) or trait_type(view.view.traits[feature.trait]))
                for view in views
                for feature in view.features
            ),
        ]
    )


def finished_features(rows: pa.Table, views: Sequence[ViewFeatures]) -> pa.Table:
    """One row for each question. In: rows of ``windows_schema``, one for each node of the person, every question whole."""
    kinds = {name: state.kind for name, state in columns_of(views).items()}
    merged = merge_rows(rows, keys=QUESTION.names, kinds=kinds)
    at = merged["at"].cast(pa.int64()).to_pylist()
    found = merged.select(QUESTION.names)
    for view in views:
        prefix = prefix_of(view)
        own = merged.select([*QUESTION.names, *(name for name in kinds if name.startswith(prefix))])
        own = own.rename_columns([*QUESTION.names, *(name.removeprefix(prefix) for name in own.column_names[len(QUESTION) :])])
        finished = finish_persons(own, view.view, keep=QUESTION.names, as_of=at)
        for feature in view.features:
            found = found.append_column(feature.name, _living(finished[feature.trait], feature, view, own))
    return found.cast(features_schema(views))


def _living(values: pa.ChunkedArray, feature: Feature, view: ViewFeatures, merged: pa.Table) -> pa.ChunkedArray:
    """The values that are not older than the feature's ttl; null for the others."""
    if feature.ttl_micros is None:
        return values
    state = merged[window_column(view.view.traits[feature.trait], 0)]
    age = pc.subtract(merged["at"].cast(pa.int64()), pc.struct_field(state, "at").cast(pa.int64()))
    return pc.if_else(pc.less_equal(age, feature.ttl_micros), values, None)
