"""Terms of sources as columns: how long each event of a table may be used. The standardiser, the edges and the expiry ask; ADR 0028 says from when a term runs."""

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.times import MICROS


def terms_in_micros(sources: pa.ChunkedArray | pa.Array, terms: Mapping[str, int]) -> np.ndarray:
    """The term of each source named, in microseconds; 0 where it has none. ``terms``: in seconds."""
    found = np.zeros(len(sources), np.int64)
    for name, seconds in terms.items():
        found[_named(sources, [name])] = seconds * MICROS
    return found


def without(events: pa.Table, sources: Iterable[str]) -> pa.Table:
    """The events of all other sources."""
    names = sorted(sources)
    return events.filter(pa.array(~_named(events["source"], names))) if names else events


def _named(sources: pa.ChunkedArray | pa.Array, names: list[str]) -> np.ndarray:
    found = pc.is_in(sources, value_set=pa.array(names, pa.string()))
    return np.asarray(found.to_numpy() if isinstance(found, pa.ChunkedArray) else found.to_numpy(zero_copy_only=False))
