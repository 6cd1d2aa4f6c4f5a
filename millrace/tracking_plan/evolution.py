"""What a new version of a JSON Schema breaks: events that were fine and no longer are, fields that readers know and that become something else.

plan.py asks. New fields that may be missing, more values of a list, wider bounds and looser rules are additions and need nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

_SILENT = {"title", "description", "examples", "default", "$comment", "$id", "$schema", "$anchor", "deprecated", "readOnly", "writeOnly"}
"""Keywords that judge nothing."""
_LOWER = {"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"}
_UPPER = {"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"}
_NESTED = {"properties", "items", "required", "type", "enum", "additionalProperties"}


def breaking_changes(old: Any, new: Any, place: str = "") -> Iterator[str]:
    """One phrase for each thing that breaks, with its field. Both are schemas: mappings or booleans."""
    if old == new or new is True or old is False:
        return
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        yield f"{place or 'the message'} was {_shown(old)}, is {_shown(new)}"
        return
    yield from _types(old, new, place)
    yield from _values(old, new, place)
    yield from _fields(old, new, place)
    if "items" in new and old.get("items") != new["items"]:
        yield from breaking_changes(old.get("items", True), new["items"], f"{place}[]")
    for keyword in sorted((old.keys() | new.keys()) - _SILENT - _NESTED):
        before, now = old.get(keyword), new.get(keyword)
        if before != now and not _looser(keyword, before, now):
            yield f"{place or 'the message'}: {keyword} was {_shown(before)}, is {_shown(now)}"


def _types(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[str]:
    """A reader of a number survives null and integers; nothing else may come to a field whose type is known."""
    before, now = _type_set(old), _type_set(new)
    if before == now or (before is None and now is None):
        return
    if now is not None and before is not None:
        may = before | {"null"} | ({"number"} if "integer" in before else set())
        covered = all(kind in now or (kind == "integer" and "number" in now) for kind in before)
        if covered and now <= may:
            return
    yield f"{place or 'the message'} was {_kinds(before)}, is {_kinds(now)}"


def _values(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[str]:
    if "enum" not in new:
        return
    if "enum" not in old:
        yield f"{place or 'the message'} took any value, takes only those of a list"
    elif gone := [value for value in old["enum"] if value not in new["enum"]]:
        yield f"{place or 'the message'} no longer takes {', '.join(map(repr, gone))}"


def _fields(old: Mapping[str, Any], new: Mapping[str, Any], place: str) -> Iterator[str]:
    before, now = old.get("properties", {}), new.get("properties", {})
    for name, schema in before.items():
        field = f"{place}.{name}".lstrip(".")
        if name not in now:
            yield f"{field} is gone"
        else:
            yield from breaking_changes(schema, now[name], field)
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{f'{place}.{name}'.lstrip('.')} is required now"
    others, allowed = old.get("additionalProperties", True), new.get("additionalProperties", True)
    if others != allowed:
        yield from breaking_changes(others, allowed, f"{place}.*".lstrip("."))


def _looser(keyword: str, before: Any, now: Any) -> bool:
    if now is None:
        return True
    if before is None:
        return keyword == "$defs"
    if keyword in _LOWER:
        return bool(now <= before)
    return keyword in _UPPER and bool(now >= before)


def _type_set(schema: Mapping[str, Any]) -> set[str] | None:
    found = schema.get("type")
    return None if found is None else {found} if isinstance(found, str) else set(found)


def _kinds(found: set[str] | None) -> str:
    return "of any type" if found is None else " or ".join(sorted(found))


def _shown(value: Any) -> str:
    text = "absent" if value is None else "anything" if value is True else "nothing" if value is False else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"
