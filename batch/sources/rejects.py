"""Rows that were not taken, in ``ops/source_rejected``: each once, however often its part is read. pulling.py calls it."""

import hashlib
from collections import Counter
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from batch.sources.shaping import Refused
from millrace.tables.catalogue import REFUSED_ROWS
from millrace.tables.delta import TenantTables


class Rejects:
    """Those of one source."""

    def __init__(self, tables: TenantTables, source: str, run_id: str) -> None:
        self._tables, self._source, self._run_id = tables, source, run_id
        self._part, self._seen = "", Counter[str]()
        self._known: set[str] | None = None
        """Row ids of the part that are in the table since earlier runs; read when the first row is refused."""

    def begin(self, part: str) -> None:
        """A part is read from its beginning."""
        self._part, self._known = part, None
        self._seen.clear()

    def add(self, refused: list[Refused], as_of: datetime) -> None:
        """The rows of the part are in the table when this returns: those that were not."""
        if not refused:
            return
        if self._known is None:
            where = (pc.field("source") == self._source) & (pc.field("part") == self._part)
            self._known = set(self._tables.read(REFUSED_ROWS, columns=["row_id"], where=where)["row_id"].to_pylist())
        rows = []
        for one in refused:
            if (row_id := self._row_id(one)) not in self._known:
                named = {"row_id": row_id, "source": self._source, "part": self._part, "as_of": as_of, "rejected_at": datetime.now(UTC), "run_id": self._run_id}
                rows.append(one._asdict() | named)
        if rows:
            self._tables.add(REFUSED_ROWS, pa.Table.from_pylist(rows, schema=REFUSED_ROWS.schema))

    def _row_id(self, one: Refused) -> str:
        """Tells equal rows of one part apart by their number."""
        text = "\0".join([self._source, self._part, one.reason, one.field or "", one.original])
        self._seen[text] += 1
        return hashlib.sha256(f"{text}\0{self._seen[text]}".encode()).hexdigest()[:32]
