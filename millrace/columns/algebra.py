"""The algebra of states as Spark columns: the merge of states. Python form: millrace/traits/algebra.py."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from millrace.traits.algebra import NUMBER
from millrace.traits.bounded import BOUND
from millrace.traits.states import State


def merge(state: State, states: Column | None = None) -> Column:
    """Aggregate that folds states of one group into one; null is the zero. ``states``: the state's own column unless given.

    Counts and spreads come as the entries of all states one after the other: adding them up in Spark's expressions takes the square of their number, and
    finished_columns.py, which finishes them anyway, does it in one pass.
    """
    states = F.col(f"`{state.name}`") if states is None else states
    if state.kind in ("count", "sum"):
        return F.sum(states).cast(state.delta_type)
    if state.kind in ("min", "first"):
        return F.min(states)
    if state.kind in ("max", "last"):
        return F.max(states)
    if state.kind == "squares":
        parts = F.struct(*(F.sum(states[name]).cast(NUMBER).alias(name) for name in ("high", "middle", "low")))
        return F.when(F.count(states) > 0, parts)
    if state.kind == "distinct":
        return F.when(F.count(states) > 0, F.hll_union_agg(states))
    joined = F.flatten(F.collect_list(states))
    merged = {"times": _latest, "days": lambda days: F.array_sort(F.array_distinct(days))}.get(state.kind, lambda entries: entries)(joined)
    return F.when(F.count(states) > 0, merged).cast(state.delta_type)


def _latest(times: Column) -> Column:
    ordered = F.array_sort(times)
    return F.when(F.size(ordered) <= BOUND + 1, ordered).otherwise(F.slice(ordered, -(BOUND + 1), BOUND + 1))
