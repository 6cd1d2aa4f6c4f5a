"""The algebra of states as Spark columns: the merge of states. Python form: millrace/algebra.py."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from millrace.algebra import NUMBER
from millrace.bounded import BOUND
from millrace.states import State

_LARGEST_SIZE = 120
"""Binary digits that a scaled number of 38 decimal ones has at most, and then some less: the powers themselves must fit."""


def merge(state: State, states: Column | None = None) -> Column:
    """Aggregate that folds states of one group into one; null is the zero. ``states``: the state's own column unless given."""
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
    elements = F.flatten(F.collect_list(states))
    found = {"times": _latest, "days": lambda days: F.array_sort(F.array_distinct(days))}.get(state.kind) or (lambda entries: _counted(entries, state))
    return F.when(F.count(states) > 0, found(elements)).cast(state.delta_type)


def _latest(times: Column) -> Column:
    ordered = F.array_sort(times)
    return F.when(F.size(ordered) <= BOUND + 1, ordered).otherwise(F.slice(ordered, -(BOUND + 1), BOUND + 1))


def _counted(entries: Column, state: State) -> Column:
    """Entries with one value added up, in order of the value; what becomes of too many says millrace/bounded.py."""
    values = F.transform(entries, lambda entry: entry["value"])
    is_over = (F.size(F.array_distinct(values)) > BOUND) | F.exists(values, lambda value: value.isNull())
    if state.kind == "counts":
        whole = F.array(F.struct(F.lit(None).alias("value"), _total(entries).alias("count")).cast(_entry(state)))
        return F.when(is_over, whole).otherwise(_added(entries).cast(state.delta_type))
    numbers = F.filter(entries, lambda entry: entry["value"].isNotNull())
    rounded = _added(F.transform(numbers, lambda entry: F.struct(_bucket(entry["value"]).alias("value"), entry["count"].alias("count"))))
    mark = F.array(F.struct(F.lit(None).alias("value"), F.lit(0).cast("bigint").alias("count")).cast(_entry(state)))
    return F.when(is_over, F.concat(mark, rounded.cast(state.delta_type))).otherwise(_added(entries).cast(state.delta_type))


def _entry(state: State) -> str:
    return state.delta_type.removeprefix("ARRAY<").removesuffix(">")


def _total(entries: Column) -> Column:
    return F.aggregate(entries, F.lit(0).cast("bigint"), lambda total, entry: total + entry["count"])


def _added(entries: Column) -> Column:
    values = F.array_sort(F.array_distinct(F.transform(entries, lambda entry: entry["value"])))
    return F.transform(
        values, lambda value: F.struct(value.alias("value"), _total(F.filter(entries, lambda entry: entry["value"].eqNullSafe(value))).alias("count"))
    )


def _bucket(number: Column) -> Column:
    """The number with its first eight binary digits kept: without the rest of its division by a power of two."""
    powers = [F.lit(f"{2**size}E-9").cast(NUMBER) for size in range(_LARGEST_SIZE)]
    size = F.size(F.filter(F.array(*powers[8:]), lambda power: power <= F.abs(number)))
    return number - (number % F.element_at(F.array(*powers), size + 1)).cast(NUMBER)
