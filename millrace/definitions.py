"""Definitions of a tenant: reads the directory of YAML files into typed models. Every job loads them first; wrong definitions start nothing.

All problems are reported at once, each with file, place, what was found and the nearest allowed key.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from millrace.errors import ConfigurationError
from millrace.traits import NAME, State, Trait, View
from millrace.yaml_files import did_you_mean, read_yaml

_TREE = Path(__file__).resolve().parent.parent
DEFAULT_DIRECTORY = (_TREE.parent if _TREE.suffix == ".zip" else _TREE) / "conf" / "tenants" / "default"
"""In a checkout, or beside the millrace.zip of ``make dist``."""
_NEEDED = {
    "dict_type": "a mapping is needed, such as `orders: {op: count}`",
    "model_type": "a mapping is needed, such as `{op: count, event: Order Completed}`",
    "string_type": "text is needed",
    "too_short": "at least one is needed",
}
"""Sentences for people instead of those of the validation library."""
_ALLOWED_KEYS = {"trait": tuple(Trait.model_fields), "view": tuple(View.model_fields)}


class Definitions(BaseModel):
    """What a tenant has declared. ``views`` by name; ``person`` is the view whose traits a profile shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    views: dict[str, View]

    @cached_property
    def hash(self) -> str:
        """16 hex digits that change when a declaration, or the name under which a state is kept, changes (comments, order and descriptions do not count)."""
        shown = self.model_dump(mode="json", exclude_defaults=True)
        for view in shown["views"].values():
            for trait in view["traits"].values():
                trait.pop("description", None)
        kept = {name: {state.name: sorted(hops) for state, hops in states.items()} for name, states in self.states.items()}
        return hashlib.sha256(json.dumps([shown, kept], sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """Text from which ``from_json`` makes equal definitions: kept in each manifest."""
        return self.model_dump_json(exclude_defaults=True)

    @classmethod
    def from_json(cls, text: str) -> "Definitions":
        return cls.model_validate_json(text)

    @cached_property
    def states(self) -> dict[str, dict[State, frozenset[int]]]:
        """States of each view with the hops they are kept for."""
        return {name: view.states for name, view in self.views.items()}


def load_definitions(directory: str | Path) -> Definitions:
    """Definitions of the directory; ConfigurationError with every problem found when any is wrong."""
    directory = Path(directory)
    path = directory / "views.yml"
    found = read_yaml(path, missing="a definitions directory holds at least views.yml (example: conf/tenants/default/views.yml)")
    problems = list(_problems(path, found))
    if problems:
        raise ConfigurationError(problems)
    return Definitions(views=found)


def _problems(path: Path, found: Any) -> Iterator[str]:
    if not isinstance(found, dict) or not found:
        yield f"{path}: found {type(found).__name__}; a mapping of views is needed, for example `person: {{key: node, traits: {{…}}}}`"
        return
    if "person" not in found:
        yield f"{path}: no view `person`{did_you_mean('person', map(str, found))}; it is the one whose traits a profile shows"
    for name in found:
        if not isinstance(name, str) or not NAME.match(name):
            yield f"{path}: view name {name!r} is not allowed: lower-case letters, digits and _, starting with a letter"
    try:
        TypeAdapter(dict[str, View]).validate_python(found)
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            yield f"{path}: {_sentence(problem)}"


def _sentence(problem: dict[str, Any]) -> str:
    place = [str(part) for part in problem["loc"]]
    where, given = ".".join(place), problem.get("input")
    if problem["type"] == "extra_forbidden":
        allowed = _ALLOWED_KEYS["trait" if len(place) > 2 else "view"]
        return f"{where}: unknown key{did_you_mean(place[-1], allowed)}; allowed are {', '.join(allowed)}"
    if problem["type"] == "missing":
        return f"{where}: missing"
    if problem["type"] == "literal_error":
        options = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"{where}: found {given!r}{did_you_mean(str(given), options)}; allowed are {', '.join(options)}"
    if problem["type"] == "value_error":
        return f"{where}: {problem['msg'].removeprefix('Value error, ')}"
    needed = "a view is needed, such as `{key: node, traits: {…}}`" if len(place) == 1 else _NEEDED.get(problem["type"], problem["msg"])
    return f"{where}: found {given!r}; {needed}"
