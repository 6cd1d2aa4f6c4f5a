"""Two parties' encodings in, pairs of records out, each record once at most. Sees no clear value and needs no secret. jobs/match_encodings.py calls it."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.partner.encoding import BITS, FILTER, RECORD, TOKEN
from millrace.errors import ConfigurationError

SIMILAR = 0.65
"""Similarity of filters from which on two records match, unless the parties say otherwise."""
_AT_ONCE = 2_000
MATCHES = pa.schema([("left", pa.int64()), ("right", pa.int64()), ("similarity", pa.float64()), ("by", pa.string())])
"""A record of each party. ``similarity``: Dice coefficient of the filters; ``by``: the token that is equal, or ``filter``."""


def match(left: pa.Table, right: pa.Table, *, threshold: float) -> pa.Table:
    """First records whose token is equal and held by one record on each side, then the most similar filters down to the threshold, greedily one to one.
    Every record is compared with every other: a thousand million pairs take about a minute on two cores."""
    for side in (left, right):
        if not {RECORD, FILTER} <= set(side.column_names) or side.schema.field(FILTER).type != pa.binary(BITS // 8):
            raise ConfigurationError(f"found the columns {side.column_names}; encodings hold {RECORD} and {FILTER}, of {BITS} bits: encode_records writes them")
    if left.column_names != right.column_names:
        raise ConfigurationError(f"the encodings hold {left.column_names} and {right.column_names}; both parties must encode under the same agreement")
    bits = [_unpacked(side) for side in (left, right)]
    taken = [np.zeros(len(side), bool) for side in (left, right)]
    found = []
    for name in (name for name in left.column_names if name.startswith(TOKEN)):
        one, other = _equal_once(left[name], right[name])
        free = ~(taken[0][one] | taken[1][other])
        one, other = one[free], other[free]
        taken[0][one], taken[1][other] = True, True
        found.append(_rows(one, other, _dice_of(bits[0][one], bits[1][other]), name))
    candidates = [np.concatenate(part) for part in zip(*_similar(*bits, threshold), strict=True)]
    one, other, similarity = _one_to_one(*candidates, taken)
    matches = pa.concat_tables([*found, _rows(one, other, similarity, FILTER)])
    named = {"left": left[RECORD].take(matches["left"]), "right": right[RECORD].take(matches["right"])}
    return pa.table({**named, "similarity": matches["similarity"], "by": matches["by"]}, schema=MATCHES)


def _rows(one: np.ndarray, other: np.ndarray, similarity: np.ndarray, by: str) -> pa.Table:
    return pa.table({"left": one, "right": other, "similarity": similarity, "by": pa.array([by] * len(one), pa.string())}, schema=MATCHES)


def _unpacked(side: pa.Table) -> np.ndarray:
    packed = np.frombuffer(b"".join(side[FILTER].to_pylist()), np.uint8).reshape(-1, BITS // 8)
    return np.unpackbits(packed, axis=1)


def _equal_once(left: pa.ChunkedArray, right: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    once = []
    for side in (left, right):
        counts = pc.value_counts(side.drop_null().combine_chunks())
        once.append(counts.field("values").filter(pc.equal(counts.field("counts"), 1)))
    both = once[0].filter(pc.is_in(once[0], value_set=once[1]))
    return tuple(pc.index_in(both, value_set=side.combine_chunks()).to_numpy(zero_copy_only=False).astype(np.int64) for side in (left, right))


def _dice_of(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return 2 * (one & other).sum(axis=1) / np.maximum(one.sum(axis=1, dtype=np.int64) + other.sum(axis=1, dtype=np.int64), 1)


def _similar(left: np.ndarray, right: np.ndarray, threshold: float) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs at or above the threshold, block by block; one product of matrices each."""
    turned, ones = right.astype(np.float32).T, right.sum(axis=1, dtype=np.float32)
    for start in range(0, max(len(left), 1), _AT_ONCE):
        block = left[start : start + _AT_ONCE].astype(np.float32)
        dice = 2 * (block @ turned) / np.maximum(block.sum(axis=1)[:, None] + ones, 1)
        one, other = np.nonzero(dice >= threshold)
        yield one + start, other, dice[one, other].astype(np.float64)


def _one_to_one(one: np.ndarray, other: np.ndarray, similarity: np.ndarray, taken: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The most similar pair first; the lower record numbers first among equals."""
    chosen = []
    for at in np.lexsort((other, one, -similarity)).tolist():
        if not taken[0][one[at]] and not taken[1][other[at]]:
            taken[0][one[at]] = taken[1][other[at]] = True
            chosen.append(at)
    return one[chosen], other[chosen], similarity[chosen]
