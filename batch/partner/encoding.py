"""Records as Bloom filters and keyed tokens: what may leave the house. jobs/encode_records.py calls it.

A filter is a cryptographic longterm key (Schnell, Bachteler, Reiher 2011) made of BLAKE2b, bit by bit the one of clkhash (hash blakeHash, strategy
bitsPerFeature, HKDF over SHA-256, one XOR fold), so that a partner may encode with that. Not the library: its pins end before today's `cryptography`.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import pyarrow as pa

from batch.linkage.attributes import ID, comparable
from batch.partner.agreement import Agreement

BITS = 1024
_FOLDED_FROM = 2 * BITS
_KEY_BYTES = 64
_WEIGHT = {
    "given_name": 100, "surname": 120, "birth_date": 120, "national_id": 120, "email": 100, "phone": 100, "street": 80, "postcode": 80, "town": 60,
    "house_number": 40, "other": 30,
}  # fmt: skip
"""Bits an attribute sets, whatever its length: how much it counts when filters are compared."""
_POSITIONAL = ("birth_date", "national_id", "phone", "postcode", "house_number")
RECORD, FILTER, TOKEN = "record", "filter", "token_"


def encode(records: pa.Table, agreement: Agreement, secret: bytes) -> tuple[pa.Table, pa.Table]:
    """What goes to the partner (record, filter, token_0 …) and what stays at home (record, id). Records are numbered by their filters: the order tells
    nothing. An empty record has an empty filter and matches nobody."""
    rows = comparable(records, agreement.attributes)
    filters = _filters(rows, agreement, secret)
    order = pa.array(np.array(sorted(range(len(filters)), key=filters.__getitem__), np.int64))
    number = pa.array(np.arange(len(filters)))
    tokens = {f"{TOKEN}{n}": _tokens(rows, names, secret) for n, names in enumerate(agreement.tokens)}
    leaves = pa.table({RECORD: number, FILTER: pa.array(filters, pa.binary(BITS // 8)).take(order), **{name: one.take(order) for name, one in tokens.items()}})
    return leaves, pa.table({RECORD: number, ID: rows[ID].combine_chunks().take(order)})


def _filters(rows: pa.Table, agreement: Agreement, secret: bytes) -> list[bytes]:
    whole = np.zeros((len(rows), _FOLDED_FROM), bool)
    for (name, kind), key in zip(agreement.attributes.items(), _keys(secret, len(agreement.attributes)), strict=True):
        column = rows[name].combine_chunks().dictionary_encode()
        one_by_one = [_bits(value, kind, key) for value in column.dictionary.to_pylist()]
        for row, at in enumerate(column.indices.to_pylist()):
            if at is not None:
                whole[row, one_by_one[at]] = True
    return [line.tobytes() for line in np.packbits(whole[:, :BITS] ^ whole[:, BITS:], axis=1)]


def _keys(secret: bytes, attributes: int) -> list[bytes]:
    """A key for each attribute: HKDF (RFC 5869) over SHA-256 without salt or info. clkhash derives two for each and BLAKE2b takes the first."""
    extracted = hmac.new(b"\0" * 32, secret, hashlib.sha256).digest()
    block, expanded = b"", b""
    for counter in range(1, attributes * 2 * _KEY_BYTES // 32 + 1):
        block = hmac.new(extracted, block + bytes([counter]), hashlib.sha256).digest()
        expanded += block
    return [expanded[start : start + _KEY_BYTES] for start in range(0, len(expanded), 2 * _KEY_BYTES)]


def _bits(value: str, kind: str, key: bytes) -> list[int]:
    """Bits that a value sets in the filter before it is folded."""
    pairs = list(_pairs(value, is_positional=kind in _POSITIONAL))
    each, rest = divmod(_WEIGHT[kind], len(pairs))
    return [bit for number, pair in enumerate(pairs) for bit in _hashed(pair, each + (number < rest), key)]


def _pairs(value: str, *, is_positional: bool) -> Iterator[str]:
    padded = f" {value} "
    for start in range(len(padded) - 1):
        yield f"{start + 1} {padded[start : start + 2]}" if is_positional else padded[start : start + 2]


@lru_cache(maxsize=100_000)
def _hashed(pair: str, count: int, key: bytes) -> tuple[int, ...]:
    text = pair.encode()
    digests = (hashlib.blake2b(text, key=key, salt=str(block).encode()).digest() for block in range((count + 31) // 32))
    return tuple(number % _FOLDED_FROM for digest in digests for number in struct.unpack("32H", digest))[:count]


def _tokens(rows: pa.Table, names: tuple[str, ...], secret: bytes) -> pa.Array:
    """A keyed digest of these attributes together; null when one is missing."""
    columns = [rows[name].to_pylist() for name in names]
    label = "\0".join(names)
    found = [
        None if None in values else hmac.new(secret, "\0".join(["token", label, *values]).encode(), hashlib.sha256).digest()
        for values in zip(*columns, strict=True)
    ]
    return pa.array(found, pa.binary(32))
