"""Reading messages: of a column of JSON texts, the envelope and the values that identity and views need. The speed layer reads records with it, batch the log.

Nearly every message is read in one go by msgspec, which is as strict as the JSON standard and refuses what is not of the expected types. What it refuses, and
what could exceed our bounds, is read by json_values.py; both read the same (tests/millrace/events/test_messages.py).
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from types import NoneType
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.events.json_values import DEEPEST, parse_object, scaled_number, text_of
from millrace.events.message_bounds import is_bounded, not_utf8
from millrace.events.message_types import EACH, Tree, attributes_of, struct_of
from millrace.traits.algebra import NUMBER_TYPE
from millrace.traits.fold import decimals

ENVELOPE = ("type", "messageId", "userId", "anonymousId", "previousId", "event", "name", "timestamp")
BODIES = ("properties", "traits", "context")
TRAIT_PATHS = ("traits.email", "traits.phone", "context.traits.email", "context.traits.phone")
"""Paths that identity reads."""
_Text, _Id = str | None, str | int | None
_AT_ONCE = 1_000
"""Messages that are read together: when one of them cannot be, they are read one by one."""
_UNREAD = (msgspec.DecodeError, UnicodeError, RecursionError)


class Messages:
    """Messages as read, one a text of the column. ``problems``: the reason why a row has none, by row; its fields and values are null. ``unusable``: by path,
    the rows of which ``value`` was asked for a number and found something else; it is null like one that is absent. ``untold``: by enriched path and row, why
    it is null although the message says something there."""

    def __init__(self, read: list[Any], strict: dict[int, dict[str, Any]], problems: dict[int, str], attributes: dict[str, tuple[str, ...]]) -> None:
        self.problems = problems
        self._read, self._strict, self._attributes = read, strict, attributes
        self._bodies: dict[str, list[Any] | None] = {}
        self.unusable: dict[str, list[int]] = {}
        self.untold: dict[str, dict[int, str]] = {}

    def field(self, name: str) -> pa.Array:
        """A field of the envelope as text."""
        return texts(list(map(attrgetter(name), self._read)))

    def value(self, path: str, value_type: str) -> pa.Array:
        """The values at a path as text, or as decimals of scale 9 below 10**15; null when absent or unusable. Of a path into a list (``properties.products[].price``)
        a list for each message, one value an entry."""
        if EACH in path:
            lists = self._lists(path)
            entries = [value for values in lists for value in values]
            offsets = np.cumsum([0, *map(len, lists)], dtype=np.int32)
            return pa.ListArray.from_arrays(pa.array(offsets), numbers(entries) if value_type == "number" else texts(entries))
        found = self._values(path)
        if value_type != "number":
            return texts(found)
        if (plain := _plain_numbers(found)) is not None:
            return plain
        exact = _exact_numbers(found)
        is_null = exact.is_null().to_pylist()
        if rows := [row for row, value in enumerate(found) if value is not None and is_null[row]]:
            self.unusable[path] = rows
        return exact

    def _values(self, path: str) -> list[Any]:
        body, _, *deeper = path.split(".")
        first, *rest = self._attributes[path]
        if body not in self._bodies:
            bodies = list(map(attrgetter(body), self._read))
            self._bodies[body] = bodies if any(bodies) else None
        key, present = attrgetter(first), self._bodies[body]
        found = [None if value is None else key(value) for value in present] if present else [None] * len(self._read)
        if rest and present:
            found = [value if value is None else _inside(value, rest, deeper) for value in found]
        for row, message in self._strict.items():
            found[row] = _at_path(message, path)
        return found

    def _lists(self, path: str) -> list[list[Any]]:
        """What the entries of the list hold, by message; empty where there is no list."""
        at, _, below = path.partition(f"{EACH}.")
        (body, *above), keys = at.split("."), below.split(".")
        attributes = self._attributes[path]
        outer, inner = list(attributes[1 : len(above)]), list(attributes[len(above) :])
        values = [_inside(getattr(getattr(message, body), attributes[0], None), outer, above[1:]) if attributes else None for message in self._read]
        for row, message in self._strict.items():
            values[row] = _at_path(message, at)
        return [[_of_entry(entry, inner, keys) for entry in value] if isinstance(value, list) else [] for value in values]


class MessageReader:
    """Reads messages for a set of value paths (``properties.revenue``, ``context.device.model``, ``properties.products[].price``) and those of identity."""

    def __init__(self, paths: Iterable[str]) -> None:
        wanted = {path for path in paths if path.partition(".")[0] in BODIES} | {*TRAIT_PATHS}
        tree: Tree = {body: {} for body in BODIES}
        for path in sorted(wanted):
            place = tree
            for key in path.split("."):
                place = place.setdefault(key, {})
        whole = {path for path in wanted if any(other.startswith(f"{path}.") for other in wanted)}
        fields = [(name, _Id if name.endswith("Id") else _Text, None) for name in ENVELOPE]
        bodies = [(body, struct_of(body, tree[body], whole) | None, None) for body in BODIES]
        self._type = msgspec.defstruct("Message", [*fields, *bodies], gc=False)
        self._decode = msgspec.json.Decoder(self._type).decode
        self._nothing = self._type()
        self._attributes = {path: attributes_of(path, tree) for path in wanted}

    def read(self, payloads: pa.ChunkedArray) -> Messages:
        """The messages of a column of bytes or text."""
        read: list[Any] = []
        strict: dict[int, dict[str, Any]] = {}
        problems: dict[int, str] = {}
        for chunk in payloads.chunks:
            problems |= dict.fromkeys((len(read) + not_utf8(chunk)).tolist(), "invalid_utf8")
            values = chunk.cast(pa.binary()).to_pylist()
            for start in range(0, len(values), _AT_ONCE):
                some = values[start : start + _AT_ONCE]
                if problems.keys().isdisjoint(range(len(read), len(read) + len(some))) and all(len(text) < DEEPEST or is_bounded(text) for text in some):
                    try:
                        read.extend(list(map(self._decode, some)))
                        continue
                    except _UNREAD:
                        pass
                self._read_singly(some, read, strict, problems)
        return Messages(read, strict, problems, self._attributes)

    def _read_singly(self, values: list[bytes], read: list[Any], strict: dict[int, dict[str, Any]], problems: dict[int, str]) -> None:
        """Messages of which not all can be read in one go: appended to ``read``, and by their row to ``strict`` or ``problems``."""
        for text in values:
            row = len(read)
            if row not in problems and (len(text) < DEEPEST or is_bounded(text)):
                try:
                    read.append(self._decode(text))
                    continue
                except _UNREAD:
                    pass
            message = problems.get(row) or _read_strictly(text)
            if isinstance(message, str):
                problems[row] = message
                read.append(self._nothing)
            else:
                strict[row] = message
                read.append(self._type(**{name: text_of(message.get(name)) for name in ENVELOPE}))


def _read_strictly(text: bytes) -> dict[str, Any] | str:
    """The message, or the reason why it is none."""
    message = parse_object(text.decode())
    if message is None:
        return "malformed_json"
    return message if all(isinstance(message.get(body), dict | None) for body in BODIES) else "bad_properties"


def texts(values: Sequence[Any]) -> pa.Array:
    """Values as text (json_values.text_of)."""
    try:
        return pa.array(values, pa.string())
    except pa.ArrowTypeError:  # some are no text
        pass
    kinds = {*map(type, values), NoneType}  # asked for here: Arrow takes 5.0 for the integer 5 and true for 1
    if kinds == {int, NoneType} and (found := _int64(values)) is not None:
        return found.cast(pa.string())
    return pa.array([value if type(value) is str else text_of(value) for value in values], pa.string())


def numbers(values: Sequence[Any]) -> pa.Array:
    """Values as decimals (json_values.scaled_number)."""
    plain = _plain_numbers(values)
    return _exact_numbers(values) if plain is None else plain


def _plain_numbers(values: Sequence[Any]) -> pa.Array | None:
    """Many numbers at once; None when one of them needs a closer look. A double that is a decimal of six digits to its last bit has no other shortest text."""
    if not {*map(type, values)} <= {int, float, NoneType}:
        return None
    try:
        found = np.array(values, dtype=np.float64)  # of an absent value: NaN
    except OverflowError:
        return None
    absent = np.isnan(found)
    doubles = np.where(absent, 0, found)
    millionths = np.rint(doubles * 1e6)
    if not ((np.abs(millionths) < 1e15) & (millionths / 1e6 == doubles)).all():
        return None
    scaled = pa.array(millionths.astype(np.int64) * 1_000, pa.int64(), mask=absent)
    return pa.Array.from_buffers(NUMBER_TYPE, len(scaled), scaled.cast(pa.decimal128(19, 0)).buffers())


def _int64(values: Sequence[int | None]) -> pa.Array | None:
    """The integers; None when they are larger."""
    try:
        return pa.array(values, pa.int64())
    except (pa.ArrowInvalid, OverflowError):
        return None


def _exact_numbers(values: Sequence[Any]) -> pa.Array:
    scaled = [None if value is None else scaled_number(value) for value in values]
    return pc.if_else(pa.array([number is not None for number in scaled]), decimals([number or 0 for number in scaled]), pa.scalar(None, NUMBER_TYPE))


def _inside(value: Any, attributes: list[str], keys: list[str]) -> Any:
    """What a value of a body holds. A text that is itself a JSON object counts as that object."""
    if isinstance(value, str) and keys:
        return _at_keys(parse_object(value), keys)
    for attribute in attributes:
        value = getattr(value, attribute, None)
    return value


def _of_entry(entry: Any, attributes: list[str], keys: list[str]) -> Any:
    """What an entry of a list holds; it is an object as ``parse_object`` gives it where the list was read from a text."""
    return _at_keys(entry, keys) if isinstance(entry, dict) else _inside(entry, attributes, keys)


def _at_path(message: dict[str, Any], path: str) -> Any:
    body, key, *deeper = path.split(".")
    found = (message.get(body) or {}).get(key)
    return _at_keys(parse_object(found) if deeper and isinstance(found, str) else found, deeper)


def _at_keys(found: Any, keys: list[str]) -> Any:
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found
