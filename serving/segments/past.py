"""Who was in a segment at an instant, from serving/segment_changes. The API asks.

Of each person changes come in order of the instants they became true at: those up to an instant say what was true then, whenever that was noticed.
"""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from millrace.tables.catalogue import SEGMENT_CHANGES, TIME
from millrace.tables.delta import TenantTables
from millrace.times import instant_of
from serving.segments.cohorts import MEMBERS
from serving.segments.movement import ENTERED


class Past:
    """Members at an instant (microseconds), in order of the id, with the instant they had entered. CoverageError when a file of the table is missing."""

    def __init__(self, tables: TenantTables, segment: str, at: int) -> None:
        until = pa.scalar(instant_of(at), TIME)
        wanted = ["batch", "number", "person_id", "change", "at"]
        rows = tables.read(SEGMENT_CHANGES, columns=wanted, where=(pc.field("segment") == segment) & (pc.field("at") <= until))
        rows = rows.sort_by([("batch", "ascending"), ("number", "ascending")])
        last = dict(zip(rows["person_id"].to_pylist(), zip(rows["change"].to_pylist(), rows["at"].cast(pa.int64()).to_pylist(), strict=True), strict=True))
        self._members = sorted((person_id, since) for person_id, (change, since) in last.items() if change == ENTERED)

    @property
    def count(self) -> int:
        return len(self._members)

    def page(self, *, after: int, limit: int) -> tuple[list[tuple[str, int]], int | None]:
        """As ``Cohorts.page``."""
        return self._members[after : after + limit], after + limit if len(self._members) > after + limit else None

    def parts(self, *, rows: int) -> Iterator[pa.RecordBatch]:
        """As ``Cohorts.parts``."""
        for start in range(0, len(self._members), rows):
            people, since = zip(*self._members[start : start + rows], strict=True)
            yield pa.RecordBatch.from_arrays([pa.array(people, pa.string()), pa.array(since, pa.int64()).cast(pa.timestamp("us")).cast(TIME)], schema=MEMBERS)
