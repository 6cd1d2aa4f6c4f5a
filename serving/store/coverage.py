"""Whether the speed tables hold what the ledger counted: epochs that were trimmed, lost or damaged are noticed, never answered from. Fail closed."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.errors import CoverageError
from millrace.tables.catalogue import SPEED_EDGES_TABLE
from serving.store.layout import Layout

_ADVICE = "the speed tables were trimmed or damaged: restore them, or build a batch version whose cut is later"


def check_edges(edges: pa.Table, accepted: np.ndarray, *, after: int) -> None:
    """CoverageError unless every epoch after ``after`` has as many edges as the ledger has events (``accepted``, those of sources with a term
    aside): each event leaves at least one."""
    seen = _sums(edges["epoch"], edges["seen_count"], after=after, count=len(accepted))
    _refuse(seen < accepted, seen, accepted, after=after, where=SPEED_EDGES_TABLE.name)


def check_counts(states: pa.Table, accepted: np.ndarray, *, after: int, layout: Layout) -> None:
    """CoverageError unless the increments of every epoch count exactly the ledger's events (``accepted`` as for edges). Needs a state that counts all of them; without one nothing is
    checked."""
    counter = counts_everything(layout)
    if counter is None:
        return
    name, hop = counter
    rows = states.filter(pc.field("hop") == hop)
    seen = _sums(rows["epoch"], rows[name], after=after, count=len(accepted))
    _refuse(seen != accepted, seen, accepted, after=after, where="the increments of profiles")


def check_witnesses(rows: pa.Table, accepted: np.ndarray, *, after: int, where: str) -> None:
    """CoverageError unless every epoch with events has its row without a key: it was written with the increments, all or none."""
    found = rows.filter(pc.is_null(rows["key"]))["epoch"].to_numpy()
    seen = np.bincount(found - after - 1, minlength=len(accepted)).astype(bool)
    if (missing := ~seen & (accepted > 0)).any():
        raise CoverageError(f"epoch {after + 1 + int(np.argmax(missing))} has events in the ledger but has left nothing in {where}; {_ADVICE}")


def counts_everything(layout: Layout) -> tuple[str, int] | None:
    """Name and hop of a state that counts every event, those of sources with a term aside; None when the view has none."""
    every = (layout.ordinary, None, (), None)
    return next(((state.name, hop) for state, hop in layout.slots if state.kind == "count" and (state.where, state.value, state.events, state.type) == every), None)


def _sums(epochs: pa.ChunkedArray, counts: pa.ChunkedArray, *, after: int, count: int) -> np.ndarray:
    return np.bincount(epochs.to_numpy() - after - 1, weights=counts.fill_null(0).to_numpy(), minlength=count).astype(np.int64)


def _refuse(wrong: np.ndarray, seen: np.ndarray, accepted: np.ndarray, *, after: int, where: str) -> None:
    if wrong.any():
        first = int(np.argmax(wrong))
        raise CoverageError(f"epoch {after + 1 + first} has {int(accepted[first])} events in the ledger but {int(seen[first])} in {where}; {_ADVICE}")
