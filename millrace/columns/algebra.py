"""The algebra of states as Spark columns: the merge of states. Python form: millrace/algebra.py."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from millrace.traits import State


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
