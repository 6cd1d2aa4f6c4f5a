"""Answers of the API against the oracle, row by row. Enters: looked-up profiles and expected ones; leaves: what differs. The story calls it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from millrace.demo.oracle import Expected

SKETCHED = frozenset({"stores", "products_90d", "products"})
SKETCH_ERROR = 0.049
"""Three standard errors of a HyperLogLog with 4,096 registers (1.04 / sqrt(4096) each)."""


@dataclass(frozen=True)
class Difference:
    """One value that is not what the package's files say. ``household``: or the view and the key of another row."""

    household: str
    trait: str
    expected: str
    answered: str


@dataclass(frozen=True)
class Comparison:
    """``rows`` households with ``values`` values were compared; ``differences`` says which are wrong. ``layers`` counts the values that are there by origin."""

    rows: int
    values: int
    layers: dict[str, int] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)

    @property
    def is_equal(self) -> bool:
        return self.rows > 0 and not self.differences

    def as_dict(self, *, most: int = 20) -> dict[str, Any]:
        """For JSON: the counts and the first ``most`` differences."""
        listed = [asdict(difference) for difference in self.differences[:most]]
        return {"rows": self.rows, "values": self.values, "layers": self.layers, "differences": len(self.differences), "first_differences": listed}


def compare(households: Iterable[str], answers: Iterable[Mapping[str, Any]], expected: Mapping[str, Expected]) -> Comparison:
    """``answers`` in the order of ``households``; a household without events must not be found."""
    rows, values = 0, 0
    layers: dict[str, int] = {}
    differences: list[Difference] = []
    for household, answer in zip(households, answers, strict=True):
        rows += 1
        truth = expected.get(household)
        if is_found(answer) != (truth is not None):
            differences.append(Difference(household, "", "known" if truth else "unknown", "known" if is_found(answer) else "unknown"))
            continue
        for name in truth.names if truth else ():
            values += 1
            trait = answer["traits"].get(name) or {}
            if layer := trait.get("layer"):
                layers[layer] = layers.get(layer, 0) + 1
            wanted = truth.value(name)
            if not is_same(name, wanted, trait.get("value")):
                differences.append(Difference(household, name, str(wanted), str(trait.get("value"))))
    return Comparison(rows, values, layers, differences)


def compare_rows(view: str, answers: Iterable[Mapping[str, Any]], expected: Mapping[tuple[str, ...], Mapping[str, Any]]) -> Comparison:
    """Rows of a view that is not of persons: every key there must be, no other, and every trait of each."""
    found = {tuple(answer["key"].values()): answer["traits"] for answer in answers}
    layers: dict[str, int] = {}
    differences = [Difference(f"{view} {'/'.join(key)}", "", "known", "unknown") for key in sorted(expected.keys() - found.keys())]
    differences += [Difference(f"{view} {'/'.join(key)}", "", "unknown", "known") for key in sorted(found.keys() - expected.keys())]
    values = 0
    for key in expected.keys() & found.keys():
        for name, wanted in expected[key].items():
            values += 1
            trait = found[key].get(name) or {}
            if layer := trait.get("layer"):
                layers[layer] = layers.get(layer, 0) + 1
            if not is_same(name, wanted, trait.get("value")):
                differences.append(Difference(f"{view} {'/'.join(key)}", name, str(wanted), str(trait.get("value"))))
    return Comparison(len(expected), values, layers, differences)


def together(comparisons: Sequence[Comparison]) -> Comparison:
    """Several as one."""
    layers = Counter[str]()
    for one in comparisons:
        layers.update(one.layers)
    return Comparison(
        sum(one.rows for one in comparisons), sum(one.values for one in comparisons), dict(layers), [each for one in comparisons for each in one.differences]
    )


def moved_answers(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> int:
    """How many households' answers differ between two lookups of the same households at the same head, sketches included (law 2)."""
    return sum(_bare(one) != _bare(other) for one, other in zip(before, after, strict=True))


def _bare(answer: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The person and the values, without what names the layer."""
    return answer.get("id"), {name: trait.get("value") for name, trait in (answer.get("traits") or {}).items()}


def is_found(answer: Mapping[str, Any]) -> bool:
    return bool(answer) and answer.get("found", True) is not False


def is_same(trait: str, expected: Any, answered: Any) -> bool:
    """Whether the answer is the expected value, in value and in kind: money is decimal text, a time has a zone, a count is a whole number."""
    if expected is None or answered is None:
        return expected is answered
    if trait in SKETCHED:
        return isinstance(answered, int) and abs(answered - expected) <= SKETCH_ERROR * expected
    if isinstance(expected, list):
        return isinstance(answered, list) and len(answered) == len(expected) and all(map(partial(is_same, ""), expected, answered))
    if isinstance(expected, dict):
        return isinstance(answered, dict) and answered.keys() == expected.keys() and all(is_same("", expected[key], answered[key]) for key in expected)
    if isinstance(expected, Decimal):
        return isinstance(answered, str) and _decimal(answered) == expected
    if isinstance(expected, datetime):
        return isinstance(answered, str) and _time(answered) == expected
    return type(answered) is type(expected) and answered == expected


def _decimal(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except InvalidOperation:
        return None


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else None
