"""The identifiers of events as Arrow: from the clear values in the places an identifier may stand in to the list of an event. standard.py calls it."""

import hashlib
from collections.abc import Sequence
from itertools import combinations, repeat

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.identity.nodes import NAMESPACES, TOKEN_LENGTH, hint_of, normalise
from millrace.tables.catalogue import IDENTIFIER

_BLOCK = 64
_REMEMBERED = 400_000
"""Values, about 120 MB of them, after which remembering starts anew."""
Entry = tuple[str | None, str | None]
"""Node and hint of an identifier."""
Place = tuple[str, pa.Array]
"""Namespace and clear value of each event, null where it has none there."""


class Nodes:
    """Nodes and hints under a tenant's key. Those of recent values are remembered: who was there a minute ago is likely to be there again."""

    def __init__(self, secret: bytes) -> None:
        key = (secret if len(secret) <= _BLOCK else hashlib.sha256(secret).digest()).ljust(_BLOCK, b"\0")
        pad = hashlib.sha256(bytes(byte ^ 0x36 for byte in key))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in key))
        self._inner = {namespace: pad.copy() for namespace in NAMESPACES}
        for namespace, inner in self._inner.items():
            inner.update(f"{namespace}\0".encode())
        self._forget()

    def _forget(self) -> None:
        self._numbers: dict[str, dict[str, int]] = {namespace: {} for namespace in NAMESPACES}
        self._new: list[Entry] = []
        self.names, self.hints = (pa.array([], pa.string()) for _ in range(2))

    def numbers_of(self, places: Sequence[tuple[str, Sequence[str]]]) -> list[np.ndarray]:
        """For each value of each namespace its place in ``names`` and ``hints``, until the next call; both are null where nothing is left after normalising."""
        if len(self.names) > _REMEMBERED:
            self._forget()
        numbers = [self._numbered(namespace, values) for namespace, values in places]
        if self._new:
            self.names, self.hints = (
                pa.concat_arrays([known, pa.array([entry[part] for entry in self._new], pa.string())]) for part, known in enumerate((self.names, self.hints))
            )
            self._new = []
        return numbers

    def _numbered(self, namespace: str, values: Sequence[str]) -> np.ndarray:
        known = self._numbers[namespace]
        numbers = np.fromiter(map(known.get, values, repeat(-1)), np.int64, len(values))
        for place in np.flatnonzero(numbers < 0).tolist():
            if (value := values[place]) not in known:
                known[value] = len(self.names) + len(self._new)
                self._new.append(self._entry(namespace, value))
            numbers[place] = known[value]
        return numbers

    def _entry(self, namespace: str, value: str) -> Entry:
        """HMAC-SHA256 with its two pads worked in already (RFC 2104), which halves its price."""
        normal = normalise(namespace, value)
        if not normal:
            return None, None
        inner, outer = self._inner[namespace].copy(), self._outer.copy()
        inner.update(normal.encode())
        outer.update(inner.digest())
        return f"{namespace}:{outer.hexdigest()[:TOKEN_LENGTH]}", hint_of(namespace, normal)


def identifiers_of(places: Sequence[Place], nodes: Nodes) -> tuple[pa.Array, pa.Array]:
    """``identifiers`` (LIST<STRUCT<node, hint>>, each node once, in the order of the places) and ``node`` (the first: the owner; null without any)."""
    length = len(places[0][1])
    codes = np.zeros((len(places), length), dtype=np.int64)
    present = np.zeros((len(places), length), dtype=bool)
    coded = {place: values.dictionary_encode() for place, (_, values) in enumerate(places) if values.null_count < length}
    numbers = nodes.numbers_of([(places[place][0], values.dictionary.to_pylist()) for place, values in coded.items()])
    names, hints = nodes.names, nodes.hints
    has_node = names.is_valid().to_numpy(zero_copy_only=False)
    for (place, values), numbered in zip(coded.items(), numbers, strict=True):
        codes[place] = numbered[values.indices.fill_null(0).to_numpy(zero_copy_only=False)]
        present[place] = values.is_valid().to_numpy(zero_copy_only=False) & has_node[codes[place]]
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

