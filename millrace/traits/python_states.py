"""Columns of states as Python values, the form in which algebra.py merges them. The store and whoever finishes in Python call it."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.traits.algebra import LIST_KINDS, squares
from millrace.traits.plain_values import plain_values
from millrace.traits.states import State


def python_states(column: pa.Array, state: State) -> list[Any]:
    """The states of a column without nulls, in Python form."""
    if state.kind == "squares":
        return [squares(*parts) for parts in zip(*(plain_values(column.field(number)) for number in range(3)), strict=True)]
    if state.kind in LIST_KINDS:
        return _lists(column, is_counted=state.kind in ("counts", "spread"))
    if state.kind in ("first", "last"):
        fields = [plain_values(column.field(name)) for name in ("at", "partition", "offset", "value")]
        return [list(parts) for parts in zip(*fields, strict=True)]
    return plain_values(column)


def _lists(column: pa.Array, *, is_counted: bool) -> list[Any]:
    entries = column.flatten()
    if is_counted:
        values, counts = entries.flatten()
        found = [list(pair) for pair in zip(plain_values(values), counts.to_pylist(), strict=True)]
    else:
        found = plain_values(entries)
    ends = np.cumsum(pc.list_value_length(column).to_numpy(zero_copy_only=False)).tolist()
    return [found[start:end] for start, end in zip([0, *ends], ends, strict=False)]
