"""Repairs of rejected records as somebody declares them (the file of ``jobs.replay_rejected --repair``): what to read otherwise, move, convert, set or leave out.

Rules apply in their order to the records they match; within a rule: ``decode``, ``rename``, ``convert``, ``set``, ``default``, ``drop``. Paths are those of views
(``properties.revenue``). A record that no rule matches stays byte for byte.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from millrace.errors import ConfigurationError
from millrace.events.json_values import scaled_number, text_of
from millrace.yaml_files import did_you_mean, read_yaml

Kind = Literal["number", "text", "boolean"]
_BOOLEANS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _path(text: str) -> str:
    if not text or "" in text.split("."):
        raise ValueError("a path is names parted by dots, such as properties.revenue")
    return text


_Path = Annotated[str, AfterValidator(_path)]


class Rule(BaseModel):
    """One repair. ``where``: values at paths that a record has, besides ``reason`` and ``source`` of its row; empty matches all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    where: dict[_Path, Any] = Field(default_factory=dict)
    decode: Literal["latin-1", "cp1252", "utf-16"] | None = None
    rename: dict[_Path, _Path] = Field(default_factory=dict)
    convert: dict[_Path, Kind] = Field(default_factory=dict)
    set: dict[_Path, Any] = Field(default_factory=dict)
    default: dict[_Path, Any] = Field(default_factory=dict)
    drop: tuple[_Path, ...] = ()


def load_repairs(path: Path) -> list[Rule]:
    """The rules of a file: a list; ConfigurationError with everything that is wrong."""
    found = read_yaml(path, missing="name a file of repairs, such as `- {rename: {properties.total: properties.revenue}}`")
    if not isinstance(found, list):
        raise ConfigurationError(f"{path}: found {type(found).__name__}; a list of repairs is needed, such as `- {{convert: {{properties.revenue: number}}}}`")
    try:
        return TypeAdapter(list[Rule]).validate_python(found)
    except ValidationError as error:
        raise ConfigurationError([_sentence(path, problem) for problem in error.errors(include_url=False)]) from None


def _sentence(path: Path, problem: Mapping[str, Any]) -> str:
    place = [str(part + 1) if isinstance(part, int) else part for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        return f"{path}: repair {'.'.join(place)}: unknown key{did_you_mean(place[-1], Rule.model_fields)}; allowed are {', '.join(Rule.model_fields)}"
    return f"{path}: repair {'.'.join(place)}: found {problem.get('input')!r}; {problem['msg'].removeprefix('Value error, ')}"


def repaired(payload: bytes, row: Mapping[str, Any], rules: list[Rule]) -> bytes:
    """The record after all rules that match it; the same bytes when none does, or when it is no JSON object that could be repaired."""
    message = _read(payload)
    changed = False
    for rule in rules:
        if rule.decode is not None and message is None and _matches(rule, {}, row):
            message = _read(_decoded(payload, rule.decode))
        if message is not None and _matches(rule, message, row):
            _apply(rule, message)
            changed = True
    return msgspec.json.encode(message) if changed else payload


def _matches(rule: Rule, message: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return all((row[path] if path in ("reason", "source") else _at(message, path)) == value for path, value in rule.where.items())


def _apply(rule: Rule, message: dict[str, Any]) -> None:
    for old, new in rule.rename.items():
        if (value := _take(message, old)) is not None:
            _put(message, new, value)
    for path, kind in rule.convert.items():
        if (value := _at(message, path)) is not None and (converted := _converted(value, kind)) is not None:
            _put(message, path, converted)
    for path, value in rule.set.items():
        _put(message, path, value)
    for path, value in rule.default.items():
        if _at(message, path) is None:
            _put(message, path, value)
    for path in rule.drop:
        _take(message, path)


def _converted(value: Any, kind: Kind) -> Any:
    """The value as that kind; None when it cannot be one."""
    if kind == "text":
        return None if isinstance(value, dict | list) else text_of(value)
    if kind == "boolean":
        return value if isinstance(value, bool) else _BOOLEANS.get(str(value).strip().lower())
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if scaled_number(text) is None:
        return None
    number = float(text)
    return int(text) if text.lstrip("+-").isdecimal() else number


def _read(payload: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _decoded(payload: bytes, encoding: str) -> bytes:
    try:
        return payload.decode(encoding).encode()
    except UnicodeError:
        return payload


def _steps(path: str) -> Iterator[str]:
    return iter(path.split("."))


def _at(message: Any, path: str) -> Any:
    for key in _steps(path):
        message = message.get(key) if isinstance(message, Mapping) else None
    return message


def _take(message: dict[str, Any], path: str) -> Any:
    parent, _, last = path.rpartition(".")
    place = _at(message, parent) if parent else message
    return place.pop(last, None) if isinstance(place, dict) else None


def _put(message: dict[str, Any], path: str, value: Any) -> None:
    """Sets a value, making the objects on the way; what stands in the way and is no object gives way."""
    *parents, last = path.split(".")
    place = message
    for key in parents:
        inner = place.get(key)
        if not isinstance(inner, dict):
            inner = place[key] = {}
        place = inner
    place[last] = value
