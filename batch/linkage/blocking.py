"""Which pairs are looked at: keys made from the kinds of attributes, never from a data set. Two records meet when a key of theirs is equal.

A key that lacks one of its parts is null and meets nobody; a key that too many records share is dropped, because it says too little and costs too much.
"""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

PREFIX = "block_"


def add_keys(rows: pa.Table, kinds: Mapping[str, str], *, largest: int) -> tuple[pa.Table, list[str]]:
    """The rows with one more column a key; the names of those columns. ``largest``: most records that may share a key."""
    names = []
    for label, key in _keys(rows, kinds):
        counts = pc.value_counts(key)
        often = counts.field("values").filter(pc.greater(counts.field("counts"), largest))
        key = pc.if_else(pc.is_in(key, value_set=often), pa.scalar(None, pa.string()), key)
        names.append(f"{PREFIX}{label}")
        rows = rows.append_column(names[-1], key)
    return rows, names


def _keys(rows: pa.Table, kinds: Mapping[str, str]) -> Iterator[tuple[str, pa.Array]]:
    """Label and key. Parts are the first attribute of each kind; identifying kinds use all of theirs."""
    by_kind: dict[str, list[pa.Array]] = {}
    for name, kind in kinds.items():
        by_kind.setdefault(kind, []).append(rows[name].combine_chunks())
    first = {kind: arrays[0] for kind, arrays in by_kind.items()}
    part = {kind: array for kind, array in first.items()}
    if "given_name" in first:
        part |= {"given_2": _head(first["given_name"], 2), "given_4": _head(first["given_name"], 4)}
    if "surname" in first:
        part |= {"surname_2": _head(first["surname"], 2), "surname_4": _head(first["surname"], 4)}
    if "birth_date" in first:
        part |= {"birth_year": _head(first["birth_date"], 4), "birth_day": pc.utf8_slice_codeunits(first["birth_date"], 4, 8)}
    if "email" in first:
        local = pc.replace_substring_regex(first["email"], "@.*", "")
        part |= {"mailbox": pc.if_else(pc.greater_equal(pc.utf8_length(local), 5), local, pa.scalar(None, pa.string()))}
    if "phone" in first:
        part |= {"line": pc.utf8_slice_codeunits(first["phone"], -8)}
    for kind in ("national_id", "email"):
        for number, array in enumerate(by_kind.get(kind, ())):
            yield f"{kind}{number or ''}", array
    for parts in _PARTS:
        if all(one in part for one in parts):
            yield "_".join(parts), pc.binary_join_element_wise(*(part[one] for one in parts), "|", null_handling="emit_null")
    if "given_name" in first and "surname" in first:
        low, high = pc.min_element_wise(first["given_name"], first["surname"], skip_nulls=False), pc.max_element_wise(first["given_name"], first["surname"], skip_nulls=False)
        yield "names", pc.binary_join_element_wise(low, high, "|", null_handling="emit_null")


def _head(text: pa.Array, letters: int) -> pa.Array:
    return pc.utf8_slice_codeunits(text, 0, letters)


_PARTS = (
    ("mailbox",), ("line",), ("birth_date",), ("given_name",), ("surname",), ("street",),
    ("given_4", "birth_year"), ("surname_4", "birth_year"), ("given_4", "birth_day"), ("surname_4", "birth_day"),
    ("given_name", "surname_2"), ("given_2", "surname"),
    ("given_name", "postcode"), ("surname", "postcode"), ("birth_year", "postcode"), ("birth_day", "postcode"),
    ("given_name", "street"), ("surname", "street"), ("birth_year", "street"),
    ("given_name", "town"), ("surname", "town"), ("street", "town"), ("street", "house_number"),
)  # fmt: skip
