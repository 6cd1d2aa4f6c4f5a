"""Values as buckets: enough to see that something is missing or that a distribution moves, and nothing anybody's value could be read from. counting.py calls it."""

import zlib

import numpy as np
import pyarrow as pa

from serving.data_health.tally import ABSENT

TEXT_BUCKETS = 64
_SMALLEST = -60
"""Half powers of two: 2**-30 is below nine digits after the point."""


def buckets(values: pa.Array) -> np.ndarray:
    """Of each value its bucket, ``ABSENT`` of null. Numbers: by half powers of two of their size, with their sign; texts: by a digest of six bits."""
    if pa.types.is_decimal(values.type):
        return _of_numbers(values)
    return _of_texts(values)


def _of_numbers(values: pa.Array) -> np.ndarray:
    numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    is_absent = np.isnan(numbers)
    sizes = np.abs(np.where(is_absent, 0, numbers))
    steps = np.floor(2 * np.log2(np.maximum(sizes, 2.0**-40))).astype(np.int64)
    found = np.where(sizes > 0, np.maximum(steps - _SMALLEST, 0) + 1, 0)
    return np.where(is_absent, ABSENT, np.where(numbers < 0, 1_000 + found, found))


def _of_texts(values: pa.Array) -> np.ndarray:
    coded = values.dictionary_encode()
    digests = np.array([zlib.crc32(text.encode()) % TEXT_BUCKETS for text in coded.dictionary.to_pylist()] or [0], np.int64)
    codes = coded.indices.fill_null(0).to_numpy(zero_copy_only=False)
    return np.where(np.array(values.is_null().to_numpy(zero_copy_only=False)), ABSENT, digests[codes])
