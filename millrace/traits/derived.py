"""Derived traits as declared: expressions over other traits of the view (``basket_30d: {expr: "spend_30d / orders_30d"}``). traits.py parses them, every reader evaluates them.

They stand on no state. An expression may name derived traits; none may stand on itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from millrace.expressions import ExpressionError, Node, Problem, PythonForm, names_of, parse, thresholds_of

RESULTS = ("integer", "number", "text", "time", "boolean", "list", "times")


class Derived(BaseModel):
    """One expression over traits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    expr: str
    description: str = ""

    @model_validator(mode="before")
    @classmethod
    def _alone(cls, found: Any) -> Any:
        if isinstance(found, dict) and (others := [str(key) for key in found if key not in cls.model_fields]):
            raise ValueError(f"expr is computed from other traits and takes no {', '.join(others)}; write what it needs as a trait of its own and name that")
        return found


class WrongExpressions(ValueError):
    """``problems``: all that is wrong with the derived traits of a view, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


@dataclass(frozen=True)
class Compiled:
    """``answers``: type of the value; ``inputs``: the traits with states it is computed from, those of derived traits it names too."""

    name: str
    tree: Node
    answers: str
    inputs: tuple[str, ...]
    value: Callable[[Mapping[str, Any], int], Any]

    @property
    def looks_at_now(self) -> bool:
        return self.tree.looks_at_now


def compile_derived(declared: Mapping[str, Derived], types: Mapping[str, str]) -> tuple[Compiled, ...]:
    """Every derived trait after those it names; WrongExpressions with all that is wrong. ``types``: of the traits with states."""
    compiled: dict[str, Compiled] = {}
    problems: list[str] = []
    waiting = dict(declared)
    while waiting:
        blocked = {name: [other for other in waiting if _names(one.expr, other)] for name, one in waiting.items()}
        ready = [name for name, others in blocked.items() if not others]
        if not ready:
            problems.append(f"{_circle(blocked)}: derived traits cannot stand on each other in a circle; take one of these names out of its expr")
            break
        for name in ready:
            one = waiting.pop(name)
            try:
                compiled[name] = _compiled(name, one, compiled, types)
            except ExpressionError as error:
                problems += [f"{name}.expr {problem}" for problem in error.problems]
                types = {**types, name: "any"}
    if problems:
        raise WrongExpressions(problems)
    return tuple(compiled.values())


def _compiled(name: str, declared: Derived, others: Mapping[str, Compiled], types: Mapping[str, str]) -> Compiled:
    known = dict(types) | {other: one.answers for other, one in others.items()}
    tree = parse(declared.expr, known, wanted=RESULTS)
    if thresholds_of(tree):
        raise ExpressionError([Problem(0, "percentile compares with all persons and is for segments; here stands what one person's traits give")])
    inputs: dict[str, None] = {}
    for other in names_of(tree):
        inputs.update(dict.fromkeys(others[other].inputs if other in others else (other,)))
    return Compiled(name, tree, tree.type, tuple(inputs), PythonForm().value(tree))


def _names(expr: str, name: str) -> bool:
    """Whether an expression has the name among its words; what is in quotes counts too, which only orders more than is needed."""
    return name in "".join(letter if letter.isalnum() or letter == "_" else " " for letter in expr).split()


def _circle(blocked: Mapping[str, list[str]]) -> str:
    path = [next(iter(blocked))]
    while path[-1] not in path[:-1]:
        path.append(blocked[path[-1]][0])
    return " names ".join(path[path.index(path[-1]) :])


def evaluate(compiled: tuple[Compiled, ...], values: Mapping[str, Any], now: int) -> dict[str, Any]:
    """Values of the derived traits, in the Python form of the algebra, from those of the traits they stand on."""
    found = dict(values)
    for one in compiled:
        found[one.name] = one.value(found, now)
    return {one.name: found[one.name] for one in compiled}
