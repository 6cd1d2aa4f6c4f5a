"""Reads enrichment.yml of a definitions directory, with all that is wrong with it. The file need not be there."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from millrace.enrichment.rules import SETTINGS, CountryRules, EmailRules, Enrichment, GeographyRules, MoneyRules, PhoneRules, ReferrerRules
from millrace.yaml_files import read_yaml

_MODELS: Mapping[str, type[BaseModel]] = {
    "phone": PhoneRules, "email": EmailRules, "referrer": ReferrerRules, "country": CountryRules, "money": MoneyRules, "geography": GeographyRules,
}  # fmt: skip


def read_enrichment(path: Path, sentence: Callable[[Mapping[str, Any], Mapping[int, tuple[str, ...]]], str]) -> tuple[Enrichment, list[str]]:
    """The rules, and the problems of the file, one sentence each. ``sentence`` makes one of a problem and the keys that are allowed at each depth."""
    found = read_yaml(path, missing="it was there a moment ago") if path.exists() else None
    if found is None:
        return Enrichment(), []
    if not isinstance(found, dict):
        return Enrichment(), [f"{path}: found {type(found).__name__}; a mapping is needed, for example `phone: {{default_region: DE}}`; keys are {', '.join(SETTINGS)}"]
    if "versions" in found:
        return Enrichment(), [f"{path}: versions: is no key of the file, they come with what is installed; leave it out"]
    try:
        rules = Enrichment.model_validate(found, context={"directory": path.parent})
    except ValidationError as error:
        return Enrichment(), [f"{path}: {sentence(problem, _keys(problem))}" for problem in error.errors(include_url=False)]
    return rules, [f"{path}: {problem}" for problem in rules.file_problems()]


def _keys(problem: Mapping[str, Any]) -> Mapping[int, tuple[str, ...]]:
    """What is allowed at each depth where a problem is."""
    model = _MODELS.get(str(problem["loc"][0])) if problem["loc"] else None
    return {1: SETTINGS, 2: tuple(model.model_fields) if model else ()}
