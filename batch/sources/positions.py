"""Where each part of a source stands: read before a pull, noted after the target has what was read. pulling.py calls it, under the lease of the pulls."""

import json
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from batch.sources.connector import Position
from millrace.tables.catalogue import SOURCE_POSITIONS
from millrace.tables.delta import TenantTables

DIGEST = 16
"""Bytes of the digest of a row."""


class Positions:
    """Positions of one source. ``noted``: by part; ``columns``: kinds of undeclared columns as they are remembered; ``as_of``: newest time of any part."""

    def __init__(self, tables: TenantTables, source: str, run_id: str) -> None:
        self._tables, self._source, self._run_id = tables, source, run_id
        names = ["number", "source", "part", "position", "as_of", "columns"]
        rows = tables.read(SOURCE_POSITIONS, columns=names).sort_by("number").to_pylist()
        mine = [row for row in rows if row["source"] == source]
        self._number = rows[-1]["number"] if rows else 0
        self._row_of = {row["part"]: row["number"] for row in mine}
        self.noted: dict[str, Position] = {row["part"]: json.loads(row["position"]) for row in mine}
        self.columns: dict[str, str] = json.loads(mine[-1]["columns"]) if mine else {}
        self.as_of: datetime | None = max((row["as_of"] for row in mine), default=None)

    def digests(self, part: str) -> set[bytes]:
        """Digests of the rows that were taken of a part when it was last read."""
        if part not in self._row_of:
            return set()
        found = self._tables.read(SOURCE_POSITIONS, columns=["row_digests"], where=pc.field("number") == self._row_of[part])
        joined = found["row_digests"][0].as_py() or b""
        return {joined[start : start + DIGEST] for start in range(0, len(joined), DIGEST)}

    def note(self, part: str, position: Position, *, as_of: datetime, digests: list[bytes], counts: dict[str, Any]) -> None:
        """The part stands there from now on."""
        self._number += 1
        row = {
            "number": self._number, "source": self._source, "part": part, "position": json.dumps(position, default=str), "as_of": as_of,
            "columns": json.dumps(self.columns), "row_digests": b"".join(digests), "counts": json.dumps(counts), "noted_at": datetime.now(UTC), "run_id": self._run_id,
        }  # fmt: skip
        self._tables.add(SOURCE_POSITIONS, pa.Table.from_pylist([row], schema=SOURCE_POSITIONS.schema))
        self._row_of[part], self.noted[part] = self._number, position
        self.as_of = as_of if self.as_of is None else max(self.as_of, as_of)
