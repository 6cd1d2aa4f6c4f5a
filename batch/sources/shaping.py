"""Rows of a batch as sources.yml declares them: each is a mapping of plain values, or refused with a reason. Nothing becomes null that was something.

Columns that are not declared are taken as they come; what kind of value they hold is remembered, and a row in which it is another is refused.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa

from batch.sources.connector import Batch
from batch.sources.json_columns import JSON
from batch.sources.values import converter, from_json, kind_of, plain, to_json
from millrace.events.pulls import Pull

_ABSENT = object()


class Row(NamedTuple):
    """A row: its number in the batch and in the part, its values without those that are absent, and a digest of it as it was read."""

    index: int
    place: int
    values: dict[str, Any]
    digest: bytes


class Refused(NamedTuple):
    """A row that is not taken: its place, why, the column, and how it was read."""

    place: int
    reason: str
    field: str | None
    original: str


@dataclass
class Drift:
    """How a source differs from what was declared or known: columns by kind, by how many rows lack them, by how many have another kind of value."""

    new_columns: dict[str, str] = field(default_factory=dict)
    missing_columns: Counter[str] = field(default_factory=Counter)
    wrong_type: Counter[str] = field(default_factory=Counter)

    def shown(self) -> dict[str, Any]:
        return {name: dict(found) for name, found in vars(self).items() if found}


class Shaper:
    """``known``: kinds of undeclared columns as they are remembered; it learns."""

    def __init__(self, pull: Pull, known: dict[str, str]) -> None:
        self.known, self.drift = known, Drift()
        self._declared, self._zone = pull.columns, ZoneInfo(pull.zone)
        self._converters = {name: converter(column, decimal=pull.decimal, zone=self._zone) for name, column in pull.columns.items()}

    def shape(self, batch: Batch) -> tuple[list[Row], list[Refused]]:
        """The rows that are as declared, and the others, in the order of the batch."""
        columns = {name: self._values(batch.rows[name]) for name in batch.rows.column_names}
        rows: list[Row] = []
        refused = [Refused(one.place, one.reason, None, one.original) for one in batch.unreadable]
        for index in range(len(batch.rows)):
            raw = {name: value for name, values in columns.items() if (value := values[index]) is not _ABSENT}
            text = to_json({name: value for name, value in raw.items() if value is not None})
            is_gone = bool(batch.deleted) and batch.deleted[index]  # then the key is enough
            problem = (None if is_gone else self._missing(raw)) or self._converted(raw)
            if problem is None:
                values = {name: value for name, value in raw.items() if value is not None}
                rows.append(Row(index, batch.place + index, values, hashlib.blake2b(text, digest_size=16).digest()))
            else:
                refused.append(Refused(batch.place + index, *problem, text.decode()))
        return rows, refused

    def _values(self, column: pa.ChunkedArray) -> list[Any]:
        if column.type == JSON:
            found = (_ABSENT if text is None else from_json(text) for text in column.cast(pa.string()).to_pylist())
            return list(found)
        return [plain(value, self._zone) for value in column.to_pylist()]

    def _missing(self, raw: dict[str, Any]) -> tuple[str, str] | None:
        for name, column in self._declared.items():
            if name not in raw and not column.optional:
                self.drift.missing_columns[name] += 1
                return "missing_column", name
        return None

    def _converted(self, raw: dict[str, Any]) -> tuple[str, str] | None:
        """Puts declared values into their types; the reason and the column when one cannot be."""
        for name, value in raw.items():
            if (convert := self._converters.get(name)) is not None:
                try:
                    raw[name] = None if value is None else convert(value)
                except (ValueError, OverflowError, ArithmeticError):
                    self.drift.wrong_type[name] += 1
                    return "wrong_type", name
            elif value is not None and self._kind(name, value) != kind_of(value):
                self.drift.wrong_type[name] += 1
                return "type_changed", name
        return None

    def _kind(self, name: str, value: Any) -> str:
        if name not in self.known:
            self.known[name] = self.drift.new_columns[name] = kind_of(value)
        return self.known[name]


def numbered(rows: list[Row], seen: Counter[bytes]) -> list[bytes]:
    """A digest a row that also tells equal rows of one part apart; ``seen`` counts those of the part so far."""
    found = []
    for row in rows:
        seen[row.digest] += 1
        found.append(hashlib.blake2b(row.digest + seen[row.digest].to_bytes(8), digest_size=16).digest())
    return found


def shown(row: Row) -> dict[str, Any]:
    """The row as JSON can show it."""
    return msgspec.json.decode(to_json(row.values))  # type: ignore[no-any-return]
