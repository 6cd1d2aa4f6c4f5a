"""Finishing in plain Python: from merged states to the value an answer shows. The store calls it; values.py has the operations that are more than a merge.

States are in the Python form of algebra.py. An answer's values are ints (counts, distinct), text (decimals, strings, RFC 3339 times), truth, lists of these, lists of
``{value, count}``, or None.
"""

from collections.abc import Callable
from operator import itemgetter
from typing import Any

from millrace.times import MICROS, micros, time_text
from millrace.traits.algebra import average, plain
from millrace.traits.sketches import estimate
from millrace.traits.traits import Answers, Trait
from millrace.traits.values import NOTHING, tell

__all__ = ["MICROS", "Value", "finish", "finisher", "micros", "show", "show_as", "time_text", "value_of_nothing"]
Value = int | str | bool | list[Any] | None
_SHOWN: dict[str, Callable[[Any], Any]] = {"number": plain, "string": str, "time": time_text}


def show_as(kind: Answers, value: Any) -> Value:
    """A value of an expression as an answer has it."""
    text = {"number": plain, "time": time_text, "times": lambda times: [time_text(at) for at in times], "list": list}.get(kind)
    return value if value is None or text is None else text(value)


def show(trait: Trait, value: Any) -> Value:
    """A value in the Python form of the algebra as an answer has it."""
    if value is None or trait.answers in ("integer", "boolean"):
        return value
    if trait.answers == "times":
        return [time_text(at) for at in value]
    text = plain if trait.answers == "number" else _SHOWN[trait.resolved_type]
    if trait.answers == "list":
        return [text(one) for one in value]
    return [{"value": text(one), "count": count} for one, count in value] if trait.answers == "counts" else text(value)


def finisher(trait: Trait) -> Callable[..., Value]:
    """For a trait that ``is_simple``: the function from its merged states, in the order of ``trait.states``, to its value; the first must not be None."""
    if trait.op == "avg":
        return _average
    if trait.op in ("count", "sum", "approx_distinct"):
        return {"count": int, "sum": plain, "approx_distinct": estimate}[trait.op]
    text = _SHOWN[trait.resolved_type]
    if trait.op in ("min", "max"):
        return text
    return itemgetter(3) if text is str else lambda state: text(state[3])


def value_of_nothing(trait: Trait) -> Value:
    """What a trait shows when nothing was seen: 0 where something is counted or added up, else None or an empty list."""
    return 0 if trait.since else show(trait, NOTHING.get(trait.op))


def finish(trait: Trait, *states: Any, at: int) -> Value:
    """One value as of ``at`` from the trait's merged states, None for nothing seen; who finishes many keeps the ``finisher``."""
    return show(trait, tell(trait, states, at).value)


def _average(total: int, count: int) -> Value:
    return plain(average(total, count))
