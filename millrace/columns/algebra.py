"""The algebra of states as Spark aggregates: lift (events → state), merge (states → state), compare. Python form: millrace/algebra.py."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from millrace.algebra import SCALE
from millrace.columns.events import value_at
from millrace.sketches import LG_K
from millrace.traits import State

NUMBER_PATTERN = r"^[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,2})?$"
"""Text that counts as a number. Bounded on purpose: an exponent of a billion would keep a decimal parser busy for hours."""


def typed_value(path: str, value_type: str) -> Column:
    """Value at a path, as its type; null when absent or unusable. A number is a decimal of scale 9 with |value| < 1e15 (so sums cannot overflow)."""
    if path in ("event_time", "received_at", "name", "type", "source"):
        return F.col(path)
    text = value_at(path)
    if value_type != "number":
        return text
    return F.when(text.rlike(NUMBER_PATTERN), text.try_cast(f"decimal(24,{SCALE})"))


def matches(state: State) -> Column:
    """Whether an event counts for a state."""
    condition = F.lit(True)
    if state.events:
        condition = condition & (F.col("type") == "track") & F.col("name").isin(*state.events)
    if state.type:
        condition = condition & (F.col("type") == state.type)
    return F.coalesce(condition, F.lit(False))


def lift(state: State, *, counted: Column, value: Column | None) -> Column:
    """Aggregate that makes the state of a group of events: those where ``counted`` holds and the value, if it takes one, is usable."""
    if state.kind == "count":
        usable = counted if value is None else counted & value.isNotNull()
        return F.nullif(F.count(F.when(usable, F.lit(1))), F.lit(0).cast("bigint"))
    seen = F.when(counted, value)
    at = F.when(counted & value.isNotNull(), F.struct(F.col("event_time").alias("at"), "partition", "offset", value.alias("value")))
    aggregates = {
        "sum": lambda: F.sum(seen.cast(f"decimal(28,{SCALE})")).cast(state.delta_type),
        "min": lambda: F.min(seen).cast(state.delta_type),
        "max": lambda: F.max(seen).cast(state.delta_type),
        "first": lambda: F.min(at),
        "last": lambda: F.max(at),
        "distinct": lambda: F.when(F.count(seen) > 0, F.hll_sketch_agg(seen, LG_K)),
    }
    return aggregates[state.kind]()


def merge(state: State) -> Column:
    """Aggregate that folds states of one key and tile into one; null is the zero."""
    states = F.col(state.name)
    if state.kind in ("count", "sum"):
        return F.sum(states).cast(state.delta_type)
    if state.kind in ("min", "first"):
        return F.min(states)
    if state.kind in ("max", "last"):
        return F.max(states)
    return F.when(F.count(states) > 0, F.hll_union_agg(states))
