"""Arrow columns of single values as Python values, in the form in which algebra.py merges them."""

from typing import Any

import numpy as np
import pyarrow as pa

from millrace.traits.algebra import scaled


def plain_values(column: pa.Array) -> list[Any]:
    """A column of one value a row, in Python form."""
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.int64()).to_pylist()
    if pa.types.is_decimal(column.type):
        return _scaled_values(column)
    return column.to_pylist()


def _scaled_values(column: pa.Array) -> list[Any]:
    """Decimals of scale 9 as integers, straight from Arrow's 128-bit words; one by one only where a value does not fit into 64 bits."""
    if column.null_count:
        return [None if value is None else scaled(value) for value in column.to_pylist()]
    words = np.frombuffer(column.buffers()[1], dtype=np.int64)[2 * column.offset : 2 * (column.offset + len(column))]
    low, high = words[0::2], words[1::2]
    if bool((high == (low >> 63)).all()):
        return low.tolist()
    return [scaled(value) for value in column.to_pylist()]
