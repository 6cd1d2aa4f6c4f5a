"""Filters of traits as declared (``where:``): which events count, by the values at paths of theirs. traits.py parses them, the fold applies them (Arrow, NumPy).

``where: {properties.category: Coffee, properties.revenue: {gt: 10}}``: all conditions must hold. One that meets no usable value does not hold, ``exists: false``
aside. Text is compared as text, numbers as decimals of nine digits, both read as everywhere else (millrace/events/json_values.py). Or one expression over paths
(``where: "properties.category = 'Coffee' or properties.revenue > 10"``, filter_rules.py), which must be true.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.enrichment.paths import is_known, unknown_path
from millrace.traits.filter_rules import FILTER_PATH, RULE, rule_of
from millrace.traits.lines import LINE_PATH
from millrace.yaml_files import did_you_mean

OPERATORS = ("eq", "in", "gt", "gte", "lt", "lte", "exists", "prefix")
NOT_IN = "not_in"
"""Of definitions themselves, not for files: none of the values, nor of none (parties.py)."""
SYMBOLS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_COMPARE: Mapping[str, Callable[..., Any]] = {"eq": pc.equal, "gt": pc.greater, "gte": pc.greater_equal, "lt": pc.less, "lte": pc.less_equal}
_NUMBER_TYPE = pa.decimal128(38, 9)
_PLACES = Decimal("1e-9")


@dataclass(frozen=True, order=True)
class Condition:
    """One condition: the typed value at ``path`` against the operand, which is kept as JSON text. Of an expression the operand is its text and ``path`` is empty."""

    path: str
    operator: str
    operand: str
    value_type: str

    @property
    def value(self) -> Any:
        """The operand as declared: text, number, truth, or a list of texts or numbers."""
        return json.loads(self.operand)

    @property
    def reads(self) -> tuple[tuple[str, str], ...]:
        """(path, type) of every value it looks at."""
        return rule_of(self.value).reads if self.operator == RULE else ((self.path, self.value_type),)


def parse_where(found: Any) -> tuple[Condition, ...]:
    """Conditions of a ``where:`` in one order for every spelling; ValueError with all that is wrong."""
    if isinstance(found, tuple):
        return found
    if isinstance(found, str):
        rule_of(found)
        return (Condition("", RULE, json.dumps(found.strip(), ensure_ascii=False), "boolean"),)
    if not isinstance(found, dict) or not found:
        raise ValueError("where is a mapping of paths such as `where: {properties.category: Coffee, properties.revenue: {gt: 10}}`, or an expression in quotes; drop it to take every event")
    conditions, problems = [], []
    for path, wanted in found.items():
        if not (FILTER_PATH.match(str(path)) or LINE_PATH.match(str(path))):
            problems.append(f"where {path!r} is not a path: allowed are properties.…, traits.…, context.…, enriched.…, name, type, source")
            continue
        if not is_known(path):
            problems.append(f"where {unknown_path(path)}")
            continue
        for operator, operand in (wanted if isinstance(wanted, dict) else {"in" if isinstance(wanted, list) else "eq": wanted}).items():
            try:
                conditions.append(_condition(str(path), str(operator), operand))
            except ValueError as error:
                problems.append(f"where {path}: {error}")
        if wanted == {}:
            problems.append(f"where {path}: found no condition; allowed are {', '.join(OPERATORS)}")
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(sorted(set(conditions)))


def where_as_declared(conditions: Sequence[Condition]) -> dict[str, dict[str, Any]] | str:
    """What ``parse_where`` makes the same conditions of."""
    if conditions and conditions[0].operator == RULE:
        return conditions[0].value
    found: dict[str, dict[str, Any]] = {}
    for condition in conditions:
        found.setdefault(condition.path, {})[condition.operator] = condition.value
    return found


def _condition(path: str, operator: str, operand: Any) -> Condition:
    if operator not in OPERATORS:
        raise ValueError(f"unknown condition {operator!r}{did_you_mean(operator, OPERATORS)}; allowed are {', '.join(OPERATORS)}")
    if operator == "exists":
        if not isinstance(operand, bool):
            raise ValueError(f"found exists: {operand!r}; it is true or false")
        return Condition(path, operator, json.dumps(operand), "string")
    if operator == "in":
        if not isinstance(operand, list) or not operand:
            raise ValueError(f"found in: {operand!r}; a list of texts or of numbers is needed")
        kinds, plain = zip(*map(_operand, operand), strict=True)
        if len(set(kinds)) > 1:
            raise ValueError(f"found texts and numbers in one list {operand!r}; put the numbers in quotes to compare all as text")
        return Condition(path, operator, json.dumps(sorted(set(plain)), ensure_ascii=False), kinds[0])
    kind, value = _operand(operand)
    if operator == "prefix" and not isinstance(operand, str):
        raise ValueError(f"found prefix: {operand!r}; the beginning of a text is needed (numbers in quotes)")
    if operator in ("gt", "gte", "lt", "lte") and kind != "number":
        raise ValueError(f"found {operator}: {operand!r}; {operator} compares numbers")
    return Condition(path, operator, json.dumps(value, ensure_ascii=False), kind)


def _operand(value: Any) -> tuple[str, Any]:
    """Type and value of an operand. Truth is compared as the text ``true`` or ``false``, which is what events hold of it."""
    if isinstance(value, bool):
        return "string", json.dumps(value)
    if isinstance(value, int | float):
        exact = Decimal(repr(value))
        if not exact.is_finite() or abs(exact) >= 10**15 or exact != round(exact, 9):
            raise ValueError(f"found the number {value!r}; allowed are those of at most 15 digits before the point and nine behind it")
        return "number", int(value) if value == int(value) else value
    if isinstance(value, str):
        return "string", value
    raise ValueError(f"found {value!r}; a text, a number, true or false is needed" + ("" if value is not None else " (a word such as null needs quotes in YAML)"))


def holds(condition: Condition, column: Callable[[str, str], pa.ChunkedArray], among: np.ndarray) -> np.ndarray:
    """Whether the condition holds for each event; where not ``among``, it may say no. ``column`` gives the typed values at a path."""
    if condition.operator == RULE:
        return rule_of(condition.value).holds(column, among)
    values = column(condition.path, condition.value_type)
    if condition.operator == "exists":
        found = pc.is_valid(values) if condition.value else pc.is_null(values)
    elif condition.operator == "prefix":
        found = pc.starts_with(values, condition.value)
    elif condition.operator == NOT_IN:
        found = pc.invert(pc.is_in(values, value_set=_operands(condition, condition.value)))
    elif condition.operator == "in":
        found = pc.is_in(values.cast(_arrow_type(condition)), value_set=_operands(condition, condition.value))
    else:
        found = _COMPARE[condition.operator](values.cast(_arrow_type(condition)), _operands(condition, [condition.value])[0])
    return pc.fill_null(found, False).to_numpy()


def _arrow_type(condition: Condition) -> pa.DataType:
    return _NUMBER_TYPE if condition.value_type == "number" else pa.string()


def _operands(condition: Condition, values: list[Any]) -> pa.Array:
    return pa.array([exact_number(value) if condition.value_type == "number" else value for value in values], _arrow_type(condition))


def exact_number(value: float) -> Decimal:
    """A number of a definition as the decimal its text says."""
    return Decimal(repr(value)).quantize(_PLACES)
