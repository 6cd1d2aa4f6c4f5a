"""Nodes as numbers, in the order of their names. In: names of nodes; out: the distinct ones and the place of each. resolution.py computes with them.

Names with tokens (identity.node_of) are compared as the numbers that tokens are: sorting millions of texts takes half a minute, of numbers a second.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.identity.nodes import NAMESPACES, TOKEN_LENGTH

THREADS = 2
"""NumPy and Arrow leave the interpreter free."""
AT_ONCE = 20_000
"""Tokens that are read or written together: what fits the cache."""
_SPACES = tuple(sorted(NAMESPACES))
_LETTERS = np.dtype(">u8")
"""Eight letters of a token as one number, the first letter in its highest byte; the same for eight digits with a byte each."""
_EACH = np.uint64(0x0101010101010101)
_FOLDS = tuple((np.uint64(by), np.uint64(mask)) for by, mask in ((4, 0x00FF00FF00FF00FF), (8, 0x0000FFFF0000FFFF), (16, 0x00000000FFFFFFFF)))
_SPREADS = tuple((np.uint64(by), np.uint64(mask)) for by, mask in ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F)))
_HALF = np.uint64(32)
Tokens = tuple[np.ndarray, np.ndarray, np.ndarray]
"""For each name the number of its namespace and the two halves of its token."""


def codes_of(names: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """The distinct names, sorted, and for each name its place among them. No name may be null."""
    with ThreadPoolExecutor(THREADS) as pool:
        parsed = list(pool.map(_tokens, _slices(names)))
        tokens = [one for one in parsed if one is not None]
        if not parsed or len(tokens) < len(parsed):
            distinct = pc.unique(names).sort()
            return distinct, pc.index_in(names, value_set=distinct).to_numpy().astype(np.int64)
        space, high, low = (np.concatenate(columns) for columns in zip(*tokens, strict=True))
        rows = [np.flatnonzero(space == number) for number in range(len(_SPACES))]
        ranked = list(pool.map(lambda at: _ranked(high[at], low[at]), rows))
    code, before = np.empty(len(space), np.int64), 0
    for at, (rank, distinct_high, _) in zip(rows, ranked, strict=True):
        code[at] = rank + before
        before += len(distinct_high)
    return _names([(high, low) for _, high, low in ranked]), code


def _slices(names: pa.ChunkedArray) -> Iterator[pa.Array]:
    return (part.slice(at, AT_ONCE) for part in names.chunks for at in range(0, len(part), AT_ONCE))


def _tokens(names: pa.Array) -> Tokens | None:
    """None when one of them is not a known namespace with a token."""
    if names.type != pa.string() or names.null_count:
        return None
    space, lengths = np.full(len(names), -1, np.int8), pc.binary_length(names).to_numpy()
    for number, namespace in enumerate(_SPACES):
        of_length = lengths == len(namespace) + 1 + TOKEN_LENGTH
        space[of_length & pc.starts_with(names, f"{namespace}:").to_numpy(zero_copy_only=False)] = number
    if (space < 0).any():
        return None
    _, offsets, text = names.buffers()
    ends = np.frombuffer(offsets, np.int32)[names.offset + 1 : names.offset + len(names) + 1].astype(np.int64)
    from_every_place = np.ndarray((text.size - TOKEN_LENGTH + 1,), f"V{TOKEN_LENGTH}", buffer=text, strides=(1,))
    letters = from_every_place[ends - TOKEN_LENGTH].view(_LETTERS).astype(np.uint64)
    digits = (letters & (_EACH * 0x0F)) + 9 * ((letters >> 6) & _EACH)
    if (digits & (_EACH * 0xF0)).any() or (_as_letters(digits) != letters).any():
        return None
    for by, mask in _FOLDS:
        digits = (digits | (digits >> by)) & mask
    quarters = digits.reshape(-1, TOKEN_LENGTH // 8)
    return space, quarters[:, 0] << _HALF | quarters[:, 1], quarters[:, 2] << _HALF | quarters[:, 3]


def _as_letters(digits: np.ndarray) -> np.ndarray:
    return digits + _EACH * ord("0") + (ord("a") - ord("9") - 1) * (((digits + _EACH * 6) >> 4) & _EACH)


def _ranked(high: np.ndarray, low: np.ndarray) -> Tokens:
    """The rank of each token, and the halves of the distinct ones in their order.

    What is sorted is one number for each: the upper bits of its token, and below them its place. The few tokens that the upper bits do not tell apart are
    sorted again by both halves.
    """
    if not len(high):
        return np.empty(0, np.int64), high, low
    bits = np.uint64(len(high).bit_length())
    packed = high >> bits
    packed <<= bits
    packed |= np.arange(len(high), dtype=np.uint64)
    packed.sort()
    order = (packed & ((np.uint64(1) << bits) - np.uint64(1))).view(np.int64)
    packed >>= bits
    is_new = packed[1:] != packed[:-1]
    high, low = high[order], low[order]
    changes = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    if (changes & ~is_new).any():
        group = np.r_[0, np.cumsum(is_new)]
        several = np.zeros(group[-1] + 1, bool)
        several[group[1:][changes & ~is_new]] = True
        at = np.flatnonzero(several[group])
        again = at[np.lexsort((low[at], high[at]))]
        order[at], high[at], low[at] = order[again], high[again], low[again]
        changes = (high[1:] != high[:-1]) | (low[1:] != low[:-1])
    is_first = np.r_[True, changes]
    rank = np.empty(len(order), np.int64)
    rank[order] = np.cumsum(is_first) - 1
    return rank, high[is_first], low[is_first]


def _names(tokens: list[tuple[np.ndarray, np.ndarray]]) -> pa.Array:
    """The names with these tokens, which are given by namespace."""
    widths = np.repeat([len(namespace) + 1 + TOKEN_LENGTH for namespace in _SPACES], [len(high) for high, _ in tokens])
    offsets = np.zeros(len(widths) + 1, np.int32)
    np.cumsum(widths, out=offsets[1:])
    text, until = np.empty(offsets[-1], np.uint8), 0
    for namespace, (high, low) in zip(_SPACES, tokens, strict=True):
        prefix = np.frombuffer(f"{namespace}:".encode(), np.uint8)
        for at in range(0, len(high), AT_ONCE):
            digits = np.stack([half[at : at + AT_ONCE] >> by for half in (high, low) for by in (_HALF, np.uint64(0))], axis=1) & np.uint64(0xFFFFFFFF)
            for by, mask in _SPREADS:
                digits = (digits | (digits << by)) & mask
            block = text[until : until + len(digits) * (len(prefix) + TOKEN_LENGTH)].reshape(len(digits), -1)
            block[:, : len(prefix)] = prefix
            block[:, len(prefix) :] = _as_letters(digits).astype(_LETTERS).view(np.uint8)
            until += block.size
    return pa.StringArray.from_buffers(len(widths), pa.py_buffer(offsets), pa.py_buffer(text))
