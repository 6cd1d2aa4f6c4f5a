"""Identifiers of old log rows as today's normaliser spells them, read again from the messages. The engines call it for epochs that were written under another one.

The log keeps the nodes an event got when it came. After a change of the normaliser (spellings.py) those of other spellings would be other nodes than the same
values get today: a build from the log alone makes them anew, so that nobody is split by the change (ADR 0015).
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.events.standard import Standardizer
from millrace.tables.catalogue import LOG_EVENTS

_RECORD = ("partition", "offset", "received_at", "source")


@dataclass(frozen=True)
class Respelling:
    """Rows of epochs up to ``until`` are spelt anew, under the tenant's token secret; 0: none."""

    until: int
    secret: bytes

    def rows(self, rows: pa.Table) -> pa.Table:
        """The rows with today's ``identifiers`` and ``node``. Only messages with a character beyond ASCII, or an escaped one, are read again; an event that would have no
        identifier left keeps the ones it has."""
        old = rows["epoch"].to_numpy() <= self.until
        if not old.any():
            return rows
        text = rows["payload"]
        plain = pc.and_(pc.string_is_ascii(text), pc.invert(pc.match_substring(text, "\\u")))
        at = np.flatnonzero(old & ~plain.fill_null(True).to_numpy())  # a row that was emptied has no text
        if not len(at):
            return rows
        taken = rows.take(pa.array(at))
        records = taken.select(list(_RECORD)).append_column("payload", taken["payload"].cast(pa.binary()))
        found = Standardizer((), self.secret).standardize(records)
        has_node = found["node"].is_valid().to_numpy()
        place = np.arange(len(rows))
        place[at[has_node]] = len(rows) + np.flatnonzero(has_node)
        for name in ("identifiers", "node"):
            kind = LOG_EVENTS.field(name).type
            both = pa.chunked_array([*rows[name].cast(kind).chunks, *found[name].cast(kind).chunks], kind).combine_chunks()
            rows = rows.set_column(rows.column_names.index(name), name, both.take(pa.array(place)))
        return rows


AS_WRITTEN = Respelling(0, b"")
