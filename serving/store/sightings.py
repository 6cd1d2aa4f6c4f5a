"""What the edges after the cut show, as integers: nodes and the pairs seen together, each pair once, where it was seen first. persons.py keeps it, regrouping.py looks into it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from millrace.identity.decisions import Pair
from serving.store.batch_base import Member

Position = tuple[int, int, int]
Rows = tuple[np.ndarray, ...]
"""Left and right code of each pair, then the fields of the position."""
_NO_ROWS: Rows = tuple(np.empty(0, np.int64) for _ in range(5))
_BITS = 32


@dataclass
class Fresh:
    """What a step of edges adds. ``names``: its distinct nodes, known ones too, ``columns``: hint and position of each; ``left``, ``right``: places in them of
    the pairs nobody has seen before; ``codes``: codes of nodes that had none."""

    names: list[str]
    columns: tuple[list[Any], ...]
    left: list[int]
    right: list[int]
    codes: dict[str, int]
    rows: Rows = field(default=_NO_ROWS)

    def member(self, at: int) -> Member:
        """The node at a place, where the step first shows it."""
        return Member(self.names[at], *(column[at] for column in self.columns))


NOTHING_FRESH = Fresh([], (), [], [], {})


class Sightings:
    """Grows by steps: ``read`` tells what a step adds, ``add`` takes it in."""

    def __init__(self) -> None:
        self._codes: dict[str, int] = {}
        self._names: list[str] = []
        self._keys: set[int] = set()
        self._parts: list[Rows] = []
        self._linked = np.zeros(0, np.int64)

    def read(self, edges: pa.Table) -> Fresh:
        """Rows of the edges table, which may come in any order and repeat each other; none of an earlier epoch than those taken in."""
        if not len(edges):
            return NOTHING_FRESH
        positions = edges["first_seen"].combine_chunks()
        fields = [positions.field(name).to_numpy().astype(np.int64) for name in ("epoch", "partition", "offset")]
        order = np.lexsort(fields[::-1])
        ends = pa.chunked_array([*edges["a"].chunks, *edges["b"].chunks]).combine_chunks().dictionary_encode()
        names = ends.dictionary.to_pylist()
        left, right = np.split(ends.indices.to_numpy().astype(np.int64), 2)
        _, seen = np.unique(np.stack([left[order], right[order]], axis=1).ravel(), return_index=True)
        first = order[seen // 2]
        hints = pa.chunked_array([*edges["hint_a"].chunks, *edges["hint_b"].chunks]).take(pa.array(first + seen % 2 * len(order))).to_pylist()
        codes: dict[str, int] = {}
        code = np.array([self._code(name, codes) for name in names], np.int64)
        apart = order[left[order] != right[order]]
        low, high = np.minimum(code[left[apart]], code[right[apart]]), np.maximum(code[left[apart]], code[right[apart]])
        keys, earliest = np.unique((low << _BITS) | high, return_index=True)
        known = self._keys
        new = earliest[np.fromiter((key not in known for key in keys.tolist()), dtype=bool, count=len(keys))]
        at = apart[new]
        return Fresh(names, (hints, *(values[first].tolist() for values in fields)), left[at].tolist(), right[at].tolist(), codes, (low[new], high[new], *(values[at] for values in fields)))

    def add(self, fresh: Fresh) -> None:
        self._codes.update(fresh.codes)
        self._names.extend(fresh.codes)
        if len(fresh.rows[0]):
            self._keys.update(((fresh.rows[0] << _BITS) | fresh.rows[1]).tolist())
            self._parts.append(fresh.rows)
            self._linked = self._counted(fresh)
        if len(self._parts) > 64:
            self._parts = [tuple(np.concatenate(column) for column in zip(*self._parts, strict=True))]

    def busy(self, fresh: Fresh, least: int, also: Iterable[str]) -> dict[str, int]:
        """Nodes of pairs that the step brings, with how many others they were seen with after the cut: those with at least so many, and of ``also`` any."""
        if not len(fresh.rows[0]):
            return {}
        counts = self._counted(fresh)
        met = np.unique(np.r_[fresh.rows[0], fresh.rows[1]])
        busy = met[counts[met] >= least].tolist()
        names = {code: name for name, code in fresh.codes.items()} if busy else {}
        found = {names.get(code) or self._names[code]: int(counts[code]) for code in busy}
        for name in also:
            code = fresh.codes.get(name, self._codes.get(name))
            if code is not None and code in met:
                found[name] = int(counts[code])
        return found

    def _counted(self, fresh: Fresh) -> np.ndarray:
        """For each code the number of its pairs, those of the step included."""
        counts = np.bincount(np.r_[fresh.rows[0], fresh.rows[1]], minlength=len(self._linked))
        counts[: len(self._linked)] += self._linked
        return counts

    def touching(self, nodes: Iterable[str], fresh: Fresh) -> list[tuple[Pair, Position]]:
        """Pairs with an end among the nodes, of before and of the step that is being prepared."""
        found = (fresh.codes[node] if node in fresh.codes else self._codes.get(node) for node in nodes)
        codes = [code for code in found if code is not None]
        if not codes:
            return []
        among = np.zeros(len(self._names) + len(fresh.codes), dtype=bool)
        among[codes] = True
        names = {code: name for name, code in fresh.codes.items()}
        pairs = []
        for rows in (*self._parts, fresh.rows):
            taken = among[rows[0]] | among[rows[1]]
            if taken.any():
                for low, high, *position in zip(*(column[taken].tolist() for column in rows), strict=True):
                    one, other = (names[code] if code in names else self._names[code] for code in (low, high))
                    pairs.append(((one, other) if one < other else (other, one), (*position,)))
        return pairs

    def _code(self, name: str, codes: dict[str, int]) -> int:
        known = self._codes.get(name)
        return codes.setdefault(name, len(self._names) + len(codes)) if known is None else known

