"""Tiles of states that no window has any more, because the term of what they hold is over: taken out of rows of a view (ADR 0028). Batch and the owner of the speed tables call it.

``gone`` says for each source until when its events have been emptied from the log. A tile that begins no later is dead as a whole, also where part of it is left: a recompute of what
is left would not give it again.
"""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.tables.catalogue import TIME
from millrace.times import MICROS
from millrace.traits.states import Hops, State
from millrace.traits.windows import DAY, LOCAL_DAY
from millrace.traits.zones import local_day

Gone = Mapping[str, int]
"""Microseconds by source: what happened until then is gone."""


def last_dead(state: State, hop: int, gone: Gone) -> int | None:
    """The start of the last tile of this length that is dead (microseconds, as tables write it); None when none is."""
    named = [set(condition.value) for condition in state.where if condition.path == "source" and condition.operator == "in"]
    until = max((gone[name] for names in named for name in names if name in gone), default=None)
    if until is None or hop != LOCAL_DAY:
        return until
    return local_day(state.zone, until // MICROS) * DAY * MICROS


def living(rows: pa.Table, states: Hops, gone: Gone) -> pa.Table:
    """Rows of a view (hop, hop_start, a column a state) without dead tiles: their states are null, and rows that hold nothing then are left out."""
    kept = [state for state in states if state.name in rows.column_names]
    dead = [(state.name, hop, last) for state in kept if gone for hop in states[state] if (last := last_dead(state, hop, gone)) is not None]
    if not dead:
        return rows
    starts, of_hop = (rows[name].cast(pa.int64()).fill_null(-1).to_numpy() for name in ("hop_start", "hop"))  # null: the row that shows that an epoch is there
    is_dead = np.zeros(len(rows), bool)
    for name, hop, last in dead:
        here = (of_hop == hop) & (starts <= last)
        is_dead |= here
        if here.any():
            place = pa.array(np.arange(len(rows)), mask=here)
            rows = rows.set_column(rows.column_names.index(name), rows.schema.field(name), rows[name].combine_chunks().take(place))
    holds = np.logical_or.reduce([rows[state.name].is_valid().to_numpy() for state in kept])
    return rows.filter(pa.array(holds | ~is_dead))


def dead_rows(states: Hops, gone: Gone) -> pc.Expression | None:
    """The rows of a view's table that ``living`` would change; None when there can be none."""
    found = None
    for state, hops in states.items():
        for hop in hops:
            if (last := last_dead(state, hop, gone)) is not None:
                here = (pc.field("hop") == hop) & (pc.field("hop_start") <= pa.scalar(last, TIME)) & pc.field(state.name).is_valid()
                found = here if found is None else found | here
    return found
