"""The algebra of states as Spark columns: typed values of messages, and the merge of states. Python form: millrace/algebra.py."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from millrace.algebra import SCALE
from millrace.columns.events import value_at
from millrace.fold import PLAIN_PATHS
from millrace.traits import State

NUMBER_PATTERN = r"^[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?\z"
"""Text that counts as a number. Bounded on purpose: an exponent of a billion would keep a decimal parser busy for hours."""


def typed_value(path: str, value_type: str) -> Column:
    """Value at a path, as its type; null when absent or unusable. A number is a decimal of scale 9 with |value| < 1e15 (so sums cannot overflow)."""
    if path in PLAIN_PATHS:
        return F.col(path)
    text = value_at(path)
    if value_type != "number":
        return text
    return F.when(text.rlike(NUMBER_PATTERN), text.try_cast(f"decimal(24,{SCALE})"))


def merge(state: State, states: Column | None = None) -> Column:
    """Aggregate that folds states of one group into one; null is the zero. ``states``: the state's own column unless given."""
    states = F.col(f"`{state.name}`") if states is None else states
    if state.kind in ("count", "sum"):
        return F.sum(states).cast(state.delta_type)
    if state.kind in ("min", "first"):
        return F.min(states)
    if state.kind in ("max", "last"):
        return F.max(states)
    return F.when(F.count(states) > 0, F.hll_union_agg(states))
