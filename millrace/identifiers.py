"""The identifiers of events as Arrow: from flat columns, one pair per place an identifier may stand in, to the list of an event. The speed layer calls it."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.tables import IDENTIFIER

_NODE, _HINT = "identifier_node_", "identifier_hint_"


def node_column(place: int) -> str:
    return f"{_NODE}{place}"


def hint_column(place: int) -> str:
    return f"{_HINT}{place}"


def is_flat(column: str) -> bool:
    """Whether it is one of the flat columns."""
    return column.startswith((_NODE, _HINT))


def gather_identifiers(rows: pa.Table) -> pa.Table:
    """The rows with ``identifiers`` (LIST<STRUCT<node, hint>>, each node once, in the order of the places) and ``node`` (the first: the owner;
    null without any) in the place of the flat columns ``identifier_node_0``, ``identifier_hint_0``, …"""
    places = sum(name.startswith(_NODE) for name in rows.column_names)
    nodes = [rows[node_column(place)].combine_chunks() for place in range(places)]
    present = np.array([node.is_valid().to_numpy(zero_copy_only=False) for node in nodes]).reshape(places, len(rows))
    for place in range(places):
        for earlier in range(place):
            both = np.flatnonzero(present[place] & present[earlier])
            if len(both):
                same = pc.equal(nodes[place].take(pa.array(both)), nodes[earlier].take(pa.array(both))).to_numpy(zero_copy_only=False)
                present[place][both[same]] = False
    offsets = np.r_[0, np.cumsum(present.sum(axis=0))]
    before = np.cumsum(present, axis=0) - present
    found = [np.flatnonzero(present[place]) for place in range(places)]
    order = np.argsort(np.concatenate([offsets[at] + before[place][at] for place, at in enumerate(found)]), kind="stable")
    fields = []
    for name in (node_column, hint_column):
        parts = [rows[name(place)].combine_chunks().take(pa.array(at)) for place, at in enumerate(found)]
        fields.append(pa.concat_arrays(parts).take(pa.array(order)))
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.StructArray.from_arrays(fields, fields=list(IDENTIFIER)))
    has_owner = np.diff(offsets) > 0
    owner = fields[0].take(pa.array(np.where(has_owner, offsets[:-1], 0), mask=~has_owner))
    flat = [name(place) for place in range(places) for name in (node_column, hint_column)]
    return rows.drop_columns(flat).append_column("identifiers", lists).append_column("node", owner)
