"""Where a build works: in the driver on Arrow when the rows fit, on Spark's executors when they do not (docs/adr/0007). The same kernels, so the same rows.

``build.py`` chooses one of driver_engine.py and spark_engine.py and knows nothing but this.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from batch.parts import Part
from millrace.definitions import Definitions
from millrace.tables.catalogue import EVENTS, Table

T = TypeVar("T")
LOG_COLUMNS = [name for name in EVENTS.schema.names if name not in ("shard", "message_id", "payload")]
"""What a build needs of a log row besides its typed values: where it stands, how it was judged, the fold's plain columns."""
SHOWN = 20
"""Escaped duplicates, and differing rows, that are named; all are counted."""
FIGURES = pa.schema(
    [("epoch", pa.int64()), ("topic", pa.string()), ("partition", pa.int32()), ("rows", pa.int64()), ("flagged", pa.int64()), ("offsets", pa.int64()),
     ("escaped", pa.int64()), ("missed", pa.int64())]
)  # fmt: skip
"""What a slice of the log holds for an (epoch, partition): rows, those the speed layer took for duplicates, distinct offsets; rows it wrongly took for new, and for
duplicates."""


@dataclass(frozen=True)
class Slice:
    """Epochs of the log between two cuts. ``counted`` and ``escaped`` are rows of the engine; ``escaped``, None when there are none, are the duplicates that
    the speed layer took for new since the published cut, ``escaped_at`` where the first of them stand."""

    counted: Any
    escaped: Any | None
    escaped_at: list[dict[str, Any]]
    figures: pa.Table
    history_rows: int


@dataclass(frozen=True)
class Compared:
    """Rows compared on both sides together, how many differ, and some of those: their keys and the names of the ``columns`` that differ."""

    rows: int
    differing: int
    examples: pa.Table


class Engine(Protocol):
    """Rows are opaque to the caller: what one method returns another takes. A list of rows is their union."""

    def log_slice(self, definitions: Definitions, *, after: int, until: int, served: int) -> Slice:
        """Epochs (after, until] of the log, judged against all epochs ≤ ``after``; ``escaped`` are those after the ``served`` cut."""
        ...

    def fold(self, events: Any, parts: list[Part], *, once: bool) -> Any:
        """Rows of all parts of one table, one per key. ``once``: they will be asked for a single time."""
        ...

    def part_of(self, folded: Any, part: Part) -> Any: ...
    def read(self, part: Part, *, version: int) -> Any: ...
    def increments(self, part: Part, *, after: int, until: int) -> Any: ...
    def merge(self, part: Part, rows: Sequence[Any]) -> Any: ...
    def differing(self, part: Part, before: Sequence[Any], after: Sequence[Any]) -> Compared: ...

    def write(self, table: Table, rows: Any) -> int:
        """Replaces the rows of a batch table by folded rows, or by a list of merged parts; nobody reads the new version before a manifest names it."""
        ...

    def side_by_side(self, jobs: Sequence[Callable[[], T]]) -> list[T]:
        """Results of the jobs in their order, worked on at the same time where that helps."""
        ...

    def close(self) -> None: ...
