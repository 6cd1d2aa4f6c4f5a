"""Finished traits as typed Arrow columns, each value by the same function the store uses. The publish of profiles calls it, in the driver and on executors."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from millrace.algebra import SCALE
from millrace.python_states import python_states
from millrace.states import State
from millrace.tables import trait_type
from millrace.trait_values import tell
from millrace.traits import Trait


def finished_column(trait: Trait, states: list[pa.Array], at: int) -> pa.Array:
    """The trait's value of each row as of ``at`` (microseconds), from a column a state; null states are nothing seen."""
    columns = [_with_none(column, state) for column, state in zip(states, trait.states, strict=True)]
    values = [tell(trait, merged, at).value for merged in zip(*columns, strict=True)]
    kind = trait_type(trait)
    if trait.answers == "list":
        return pa.array([None if value is None else [typed(one, kind.value_type) for one in value] for value in values], kind)
    if trait.answers == "counts":
        inner = kind.value_type.field("value").type
        return pa.array([None if value is None else [{"value": typed(one, inner), "count": count} for one, count in value] for value in values], kind)
    return pa.array([typed(value, kind) for value in values], kind)


def typed(value: Any, kind: pa.DataType) -> Any:
    """A value in the Python form of the algebra as Arrow takes it: a scaled integer as a decimal; times are microseconds in both."""
    return Decimal(value).scaleb(-SCALE) if value is not None and pa.types.is_decimal(kind) else value


def _with_none(column: pa.Array, state: State) -> list[Any]:
    there = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    found: list[Any] = [None] * len(column)
    for place, value in zip(there.tolist(), python_states(column.take(pa.array(there)), state), strict=True):
        found[place] = value
    return found
