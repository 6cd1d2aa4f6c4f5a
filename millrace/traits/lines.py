"""Lines of events: the entries of a list that an event holds, such as the products of an order. A state that reads values of lines counts lines, not events.

A view reads the lines of one list: an event with three of them is three rows to what reads lines, and one to everything else. fold.py calls ``with_lines``.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from millrace.traits.states import Reads

EACH = "[]."
LINE_PATH = re.compile(r"^(properties|traits|context)(\.[A-Za-z0-9_$-]+)+\[\](\.[A-Za-z0-9_$-]+)+$")
"""Values of the entries of a list: ``properties.products[].price``."""
PLACE = "line"
"""Column of an event's rows: 0 for the first, 1 for the next … ; where the event has no line, its only row has −1."""


def list_of(path: str) -> str | None:
    """The path of the list whose entries a path reads; None for one of the event itself."""
    return path.partition(EACH)[0] if EACH in path else None


def reads_lines(reader: "Reads") -> bool:
    """Whether a state or a key reads values of lines."""
    return any(list_of(path) for path, _ in reader.reads)


def lists_of(paths: Iterable[str]) -> tuple[str, ...]:
    """The lists whose entries the paths read."""
    return tuple(sorted({found for path in paths if (found := list_of(path))}))


def with_lines(events: pa.Table, columns: Iterable[str]) -> pa.Table:
    """A row for each line of each event, one for an event without lines, and their ``PLACE``. ``columns``: those of the values of lines, lists of one length in an event."""
    lists = {name: events[name].combine_chunks() for name in columns}
    lengths = pc.fill_null(pc.list_value_length(next(iter(lists.values()))), 0).to_numpy()
    rows = np.maximum(lengths, 1)
    event = np.repeat(np.arange(len(lengths)), rows)
    place = np.arange(len(event)) - np.repeat(np.cumsum(rows) - rows, rows)
    is_line = lengths[event] > 0
    entry = pa.array(np.repeat(np.cumsum(lengths) - lengths, rows) + place, pa.int64(), mask=~is_line)
    found = events.drop_columns(list(lists)).take(pa.array(event))
    for name, values in lists.items():
        found = found.append_column(name, values.flatten().take(entry))
    return found.append_column(PLACE, pa.array(np.where(is_line, place, -1), pa.int64()))
