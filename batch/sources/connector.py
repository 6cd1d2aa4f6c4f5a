"""The one interface of everything that can be pulled: positions in, batches of Arrow rows with positions out. docs/sources.md shows how to write one.

A connector reads, and nothing else: what its rows mean is declared in sources.yml, and that a position is noted only after the target has its rows is the
business of pulling.py.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from millrace.errors import MillraceError

Position = dict[str, Any]
"""Where a part stands, whatever the connector needs to find it again; it must survive JSON. Never a secret."""


class SourceUnavailable(MillraceError):
    """A source cannot be read, or not as declared. What was taken until then is noted; the next run continues there."""


class Unreadable(NamedTuple):
    """A row that is none: its place in the part, why, and what was found."""

    place: int
    reason: str
    original: str


@dataclass(frozen=True)
class Batch:
    """Rows of a part of the source (a file, a table, a partition; ``""`` when there is but one), in its order.

    ``rows``: a column each; text where the source has but text, ``arrow.json`` where a value may be anything. ``as_of``: when the part held this, for rows
    that do not say when they changed. ``position``: noted when the target has this batch and those of the part before it; None for more to come.
    ``place``: number of the first row in the part. ``unreadable``: what could not be made a row. ``is_whole``: with ``position``, the part has been read from its
    beginning. ``deleted``, ``changed_at`` (microseconds since 1970), ``sequence`` (orders changes of one instant), ``numbers`` (the source's own of each change): a value a row,
    from sources that have them (change records).
    """

    part: str
    rows: pa.Table
    as_of: datetime
    position: Position | None = None
    place: int = 0
    unreadable: tuple[Unreadable, ...] = ()
    is_whole: bool = False
    deleted: list[bool] = field(default_factory=list)
    changed_at: list[int] = field(default_factory=list)
    sequence: list[int] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)


class Connector(Protocol):
    """What a connector is. It may be asked again and again, and must give the same rows for the same positions as long as the source is the same."""

    def batches(self, noted: Mapping[str, Position]) -> Iterator[Batch]:
        """What is new since the positions that are noted, by part. SourceUnavailable says what was found and what to do, never a secret."""
        ...
