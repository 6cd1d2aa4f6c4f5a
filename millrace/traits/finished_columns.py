"""Finished traits as typed Arrow columns, each value by the same function the store uses. The publish of profiles calls it, in the driver and on executors."""

from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa

from millrace.tables.catalogue import DERIVED_TYPES, trait_type
from millrace.traits.algebra import KINDS, SCALE
from millrace.traits.derived import evaluate
from millrace.traits.plain_values import plain_values
from millrace.traits.python_states import python_states
from millrace.traits.states import State
from millrace.traits.traits import Trait
from millrace.traits.values import tell
from millrace.traits.views import View

_EXACT = Context(prec=60)
"""Python's usual 28 digits are too few for a variance."""


Instants = int | Sequence[int]
"""Microseconds: one instant for all rows, or one for each."""


def finished_column(trait: Trait, states: list[pa.Array], at: Instants) -> pa.Array:
    """The trait's value of each row as of ``at``, from a column a state; null states are nothing seen."""
    columns = [_with_none(column, state) for column, state in zip(states, trait.states, strict=True)]
    values = [tell(trait, merged, when).value for merged, when in zip(zip(*columns, strict=True), each(at, len(states[0])), strict=True)]
    kind = trait_type(trait)
    if trait.answers == "list":
        return pa.array([None if value is None else [typed(one, kind.value_type) for one in value] for value in values], kind)
    if trait.answers == "counts":
        inner = kind.value_type.field("value").type
        return pa.array([None if value is None else [{"value": typed(one, inner), "count": count} for one, count in value] for value in values], kind)
    return _of_type(values, kind)


def derived_columns(finished: Mapping[str, pa.Array], view: View, at: Instants) -> dict[str, pa.Array]:
    """The derived traits of each row, by name, from the finished traits they are computed from."""
    count = len(next(iter(finished.values())))
    rows = zip(*(raw_values(finished[name]) for name in view.inputs), strict=True) if view.inputs else [()] * count
    found = [evaluate(view.compiled, dict(zip(view.inputs, row, strict=True)), when) for row, when in zip(rows, each(at, count), strict=True)]
    return {one.name: _of_type([row[one.name] for row in found], DERIVED_TYPES[one.answers]) for one in view.compiled}


def each(at: Instants, count: int) -> Sequence[int]:
    """The instant of each of so many rows."""
    return list(repeat(at, count)) if isinstance(at, int) else at


def raw_values(column: pa.Array) -> list[Any]:
    """A finished column in the Python form of the algebra."""
    if pa.types.is_list(column.type):
        return [None if one is None else tuple(raw_values(pa.array(one, column.type.value_type))) for one in column.to_pylist()]
    return plain_values(column)


def _of_type(values: list[Any], kind: pa.DataType) -> pa.Array:
    return pa.array([typed(value, kind) for value in values], kind)


def typed(value: Any, kind: pa.DataType) -> Any:
    """A value in the Python form of the algebra as Arrow takes it: a scaled integer as a decimal; times are microseconds in both."""
    return Decimal(value).scaleb(-SCALE, _EXACT) if value is not None and pa.types.is_decimal(kind) else value


def _with_none(column: pa.Array, state: State) -> list[Any]:
    there = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    found: list[Any] = [None] * len(column)
    for place, value in zip(there.tolist(), python_states(column.take(pa.array(there)), state), strict=True):
        found[place] = KINDS[state.kind].fold([value]) if state.kind in ("counts", "spread") else value  # Spark only joins them
    return found
