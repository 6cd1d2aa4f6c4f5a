"""The identifiers of events as Arrow: from the clear values in the places an identifier may stand in to the list of an event. standard.py calls it."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.identity import Nodes
from millrace.tables import IDENTIFIER

Place = tuple[str, pa.Array]
"""Namespace and clear value of each event, null where it has none there."""


def identifiers_of(places: Sequence[Place], nodes: Nodes) -> tuple[pa.Array, pa.Array]:
    """``identifiers`` (LIST<STRUCT<node, hint>>, each node once, in the order of the places) and ``node`` (the first: the owner; null without any)."""
    length = len(places[0][1])
    codes, entries = np.zeros((len(places), length), dtype=np.int64), []
    present = np.zeros((len(places), length), dtype=bool)
    for place, (namespace, values) in enumerate(places):
        if values.null_count < length:
            coded = values.dictionary_encode()
            start, found = len(entries), nodes.entries(namespace, coded.dictionary.to_pylist())
            codes[place] = coded.indices.fill_null(0).to_numpy(zero_copy_only=False) + start
            present[place] = coded.is_valid().to_numpy(zero_copy_only=False)
            entries.extend(found)
    names, hints = (pa.array([entry[part] for entry in entries], pa.string()) for part in (0, 1))
    has_node = names.is_valid().to_numpy(zero_copy_only=False)
    present &= has_node[codes] if entries else False
    for earlier, later in combinations(range(len(places)), 2):
        if places[earlier][0] == places[later][0]:
            both = np.flatnonzero(present[earlier] & present[later])
            same = pc.equal(names.take(pa.array(codes[earlier][both])), names.take(pa.array(codes[later][both])))
            present[later][both[same.to_numpy(zero_copy_only=False)]] = False
    offsets = np.r_[0, np.cumsum(present.sum(axis=0))]
    listed = pa.array(codes.T[present.T])
    lists = pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.StructArray.from_arrays([names.take(listed), hints.take(listed)], fields=list(IDENTIFIER))
    )
    has_owner = np.diff(offsets) > 0
    owner = np.zeros(length, dtype=np.int64)
    owner[has_owner] = listed.to_numpy()[offsets[:-1][has_owner]]
    return lists, names.take(pa.array(owner, mask=~has_owner))

