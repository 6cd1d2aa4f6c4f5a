"""Finishing whole columns in the driver: from merged windows to typed trait values. The Arrow form of millrace/traits/finish.py; profiles.py uses it for what fits,
features/ for every row."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from millrace.columns.finish import window_column
from millrace.traits.algebra import NUMBER_TYPE, SCALE, average, scaled
from millrace.traits.finish import micros
from millrace.traits.finished_columns import derived_columns, finished_column
from millrace.traits.sketches import estimate
from millrace.traits.traits import Trait
from millrace.traits.values import is_simple
from millrace.traits.views import View


def finish_persons(merged: pa.Table, view: View, *, keep: list[str], as_of: datetime | Sequence[int]) -> pa.Table:
    """The columns to ``keep`` and one column a trait, as of a time or of an instant for each row (microseconds). In: those and the columns of ``window_column``;
    null states are nothing seen."""
    found, at = merged.select(keep), micros(as_of) if isinstance(as_of, datetime) else as_of
    for name, trait in view.traits.items():
        states = [merged[window_column(trait, n)].combine_chunks() for n in range(len(trait.states))]
        found = found.append_column(name, _value(trait, states) if is_simple(trait) else finished_column(trait, states, at))
    finished = {name: found[name].combine_chunks() for name in view.traits}
    for name, column in derived_columns(finished, view, at).items():
        found = found.append_column(name, column)
    return found


def _value(trait: Trait, states: list[pa.Array]) -> pa.Array:
    state = states[0]
    if trait.op == "count":
        return pc.fill_null(state, 0)
    if trait.op == "sum":
        return pc.fill_null(state, Decimal(0).scaleb(-SCALE))
    if trait.op == "avg":
        return pa.array([_average(total, count) for total, count in zip(*(each.to_pylist() for each in states), strict=True)], NUMBER_TYPE)
    if trait.op == "approx_distinct":
        return pa.array([estimate(sketch) for sketch in state.to_pylist()], pa.int64())
    return pc.struct_field(state, "value") if trait.op in ("first", "last") else state


def _average(total: Decimal | None, count: int | None) -> Decimal | None:
    return Decimal(average(scaled(total), count)).scaleb(-SCALE) if total is not None and count else None
