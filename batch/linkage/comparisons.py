"""How two values of an attribute compare, by its kind: levels from equal to different, as Splink comparisons. Weights are learned, never written here."""

from collections.abc import Mapping
from typing import Any

EQUAL, SWAPPED, DIFFERENT, MISSING = "equal", "swapped", "different", "missing"
_LEVELS: dict[str, tuple[tuple[str, str], ...]] = {
    "given_name": (
        ("close", "jaro_winkler_similarity({l}, {r}) >= 0.92 or damerau_levenshtein({l}, {r}) <= 1"),
        ("similar", "jaro_winkler_similarity({l}, {r}) >= 0.8 or starts_with({l}, {r}) or starts_with({r}, {l})"),
    ),
    "surname": (
        ("close", "jaro_winkler_similarity({l}, {r}) >= 0.92 or damerau_levenshtein({l}, {r}) <= 1"),
        ("similar", "jaro_winkler_similarity({l}, {r}) >= 0.8 or contains({l}, {r}) or contains({r}, {l})"),
    ),
    "birth_date": (
        ("close", "damerau_levenshtein({l}, {r}) <= 1"),
        ("similar", "damerau_levenshtein({l}, {r}) <= 2 or (left({l}, 4) = left({r}, 4) and {l}[5:6] = {r}[7:8] and {l}[7:8] = {r}[5:6])"),
        ("same year", "left({l}, 4) = left({r}, 4)"),
    ),
    "postcode": (("close", "damerau_levenshtein({l}, {r}) <= 1"), ("similar", "left({l}, length({l}) // 2) = left({r}, length({r}) // 2)")),
    "street": (
        ("close", "jaro_winkler_similarity({l}, {r}) >= 0.92 or damerau_levenshtein({l}, {r}) <= 1"),
        ("similar", "jaro_winkler_similarity({l}, {r}) >= 0.8 or contains({l}, {r}) or contains({r}, {l})"),
    ),
    "town": (
        ("close", "jaro_winkler_similarity({l}, {r}) >= 0.92 or damerau_levenshtein({l}, {r}) <= 1"),
        ("similar", "jaro_winkler_similarity({l}, {r}) >= 0.8"),
    ),
    "phone": (("close", "right({l}, 8) = right({r}, 8) or damerau_levenshtein({l}, {r}) <= 1"), ("similar", "damerau_levenshtein({l}, {r}) <= 2")),
    "email": (
        ("close", "split_part({l}, '@', 1) = split_part({r}, '@', 1) or damerau_levenshtein({l}, {r}) <= 1"),
        ("similar", "damerau_levenshtein({l}, {r}) <= 3 or jaro_winkler_similarity(split_part({l}, '@', 1), split_part({r}, '@', 1)) >= 0.88"),
    ),
    "national_id": (("close", "damerau_levenshtein({l}, {r}) <= 1"), ("similar", "damerau_levenshtein({l}, {r}) <= 2")),
    "house_number": (("close", "damerau_levenshtein({l}, {r}) <= 1"),),
    "other": (("close", "jaro_winkler_similarity({l}, {r}) >= 0.92 or (length({l}) > 3 and damerau_levenshtein({l}, {r}) <= 1)"),),
}
_BY_FREQUENCY = ("given_name", "surname", "town", "street", "postcode", "house_number", "other")
"""A rare value that agrees says more than a frequent one."""


def comparison(name: str, kinds: Mapping[str, str]) -> dict[str, Any]:
    kind = kinds[name]
    left, right = f'"{name}_l"', f'"{name}_r"'
    levels: list[dict[str, Any]] = [{"sql_condition": f"{left} IS NULL OR {right} IS NULL", "label_for_charts": MISSING, "is_null_level": True}]
    equal = {"sql_condition": f"{left} = {right}", "label_for_charts": EQUAL}
    if kind in _BY_FREQUENCY:
        equal |= {"tf_adjustment_column": name, "tf_adjustment_weight": 1.0, "tf_minimum_u_value": 1e-4}
    levels.append(equal)
    for other in _crossed(name, kinds):
        levels.append({"sql_condition": f'{left} = "{other}_r" or "{other}_l" = {right}', "label_for_charts": SWAPPED})
    for label, condition in _LEVELS[kind]:
        levels.append({"sql_condition": condition.format(l=left, r=right), "label_for_charts": label})
    levels.append({"sql_condition": "ELSE", "label_for_charts": DIFFERENT})
    return {"output_column_name": name, "comparison_levels": levels, "comparison_description": kind}


def _crossed(name: str, kinds: Mapping[str, str]) -> list[str]:
    pairs = {"given_name": "surname", "surname": "given_name"}
    return [other for other, kind in kinds.items() if kind == pairs.get(kinds[name])][:1]
