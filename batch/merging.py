"""Merge and comparison of rows that share keys, Arrow in, Arrow out: the algebra of states over whole tables. states.py and proof.py call it.

Agrees with millrace/traits/algebra.py on every input (tests/batch/test_merging.py). A null state is the zero. Pure: no session, no I/O, no clock.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.traits.algebra import LIST_KINDS, NUMBER_TYPE
from millrace.traits.bounded_columns import counted, distinct_days, latest
from millrace.traits.fold import sums
from millrace.traits.sketches import estimate, merge_sketches

Kinds = Mapping[str, str]
"""Columns with the kind of their merge (millrace.traits.algebra.KINDS). A first or last is a struct whose leading fields say where it comes."""


def merge_rows(rows: pa.Table, *, keys: Sequence[str], kinds: Kinds) -> pa.Table:
    """One row per key from any number of partial rows, in no promised order; only ``keys`` and the columns of ``kinds`` leave."""
    codes, count = key_codes(rows, keys)
    return _merge(rows.select([*keys, *kinds]), codes, count, kinds)[0]


def key_codes(rows: pa.Table, keys: Sequence[str]) -> tuple[np.ndarray, int]:
    """A number from 0 up for each row, equal exactly where all key columns are equal; and how many numbers there are."""
    codes, count = np.zeros(len(rows), dtype=np.int64), min(len(rows), 1)
    for name in keys:
        encoded = rows[name].combine_chunks().dictionary_encode()
        if len(encoded.dictionary) > 1:
            dense = pa.array(codes * len(encoded.dictionary) + encoded.indices.to_numpy()).dictionary_encode()
            codes, count = dense.indices.to_numpy().astype(np.int64), len(dense.dictionary)
    return codes, count


def differing_rows(old: pa.Table, new: pa.Table, *, keys: Sequence[str], kinds: Kinds) -> tuple[pa.Table, int]:
    """Keys at which the merged rows of the two sides differ, with the names of the columns that do, and the number of keys compared.

    An absent row is a row of zeros. Sketches are compared by estimate where their bytes differ: the bytes depend on the order of merges.
    """
    both = pa.concat_tables([side.select([*keys, *kinds]) for side in (old, new)])
    codes, count = key_codes(both, keys)
    border = len(old)
    (old, old_codes), (new, new_codes) = (_merge(both.slice(*at), codes[at[0] : at[0] + at[1]], count, kinds) for at in ((0, border), (border, len(new))))
    place = np.full(count, -1)
    place[old_codes] = np.arange(len(old))
    only_new = np.flatnonzero(place[new_codes] < 0)
    left = np.r_[np.arange(len(old)), np.full(len(only_new), -1)]
    place[:] = -1
    place[new_codes] = np.arange(len(new))
    right = np.r_[place[old_codes], only_new]
    unequal = {name: _unequal(_taken(old[name], left), _taken(new[name], right), kind) for name, kind in kinds.items()}
    rows = np.flatnonzero(np.logical_or.reduce(list(unequal.values())))
    columns = {name: pc.coalesce(_taken(old[name], left[rows]), _taken(new[name], right[rows])) for name in keys}
    names = [",".join(name for name in unequal if unequal[name][row]) for row in rows]
    return pa.table(columns | {"columns": pa.array(names, pa.string())}), count


def _merge(rows: pa.Table, codes: np.ndarray, count: int, kinds: Kinds) -> tuple[pa.Table, np.ndarray]:
    """Merged rows and the code of each. Rows that are alone with their key, most of them as a rule, are passed on as they are."""
    shared = (np.bincount(codes, minlength=count) > 1)[codes]
    if not shared.any():
        return rows, codes
    alone, several = np.flatnonzero(~shared), np.flatnonzero(shared)
    several = several[np.argsort(codes[several], kind="stable")]
    changes = np.r_[True, codes[several][1:] != codes[several][:-1]]
    first, group = several[changes], np.cumsum(changes) - 1
    merged = {name: _merged_column(_taken(rows[name], several), kind, group, len(first)) for name, kind in kinds.items()}
    columns = [merged[name] if name in merged else _taken(rows[name], first) for name in rows.column_names]
    return pa.concat_tables([rows.take(pa.array(alone)), pa.Table.from_arrays(columns, schema=rows.schema)]), codes[np.r_[alone, first]]


def _taken(column: pa.ChunkedArray, at: np.ndarray) -> pa.Array:
    """The column's values at these places, null at −1; the column itself when that is what it comes to."""
    values = column.combine_chunks()
    if len(at) == len(values) and np.array_equal(at, np.arange(len(at))):
        return values
    return values.take(pa.array(at, mask=at < 0))


def _merged_column(values: pa.Array, kind: str, group: np.ndarray, groups: int) -> pa.Array:
    """The merge of each group's values, which come group by group; null for groups without one."""
    present = np.flatnonzero(values.is_valid().to_numpy(zero_copy_only=False))
    if not len(present):
        return pa.nulls(groups, values.type)
    values, group = values.take(pa.array(present)), group[present]
    starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
    ends = np.r_[starts[1:], len(group)]
    if kind == "count":
        found = pa.array(np.add.reduceat(values.to_numpy(), starts), values.type)
    elif kind == "sum":
        found = sums(values.cast(NUMBER_TYPE), starts)
    elif kind == "squares":
        found = pa.StructArray.from_arrays([sums(field, starts) for field in values.flatten()], fields=list(values.type))
    elif kind == "distinct":
        found = _unions(values, starts, ends)
    elif kind in LIST_KINDS:
        found = _merged_lists(values, kind, np.repeat(group, pc.list_value_length(values).to_numpy()))
    else:
        by_rank = np.lexsort((*_ranks(values, kind), group))
        found = values.take(pa.array(by_rank[starts] if kind in ("min", "first") else by_rank[ends - 1]))
    position = np.full(groups, -1)
    position[group[starts]] = np.arange(len(starts))
    return found.take(pa.array(position, mask=position < 0))


def _merged_lists(values: pa.Array, kind: str, group: np.ndarray) -> pa.Array:
    """The merge of lists (millrace/traits/bounded.py), of whose elements each knows its group."""
    elements = values.flatten()
    if kind == "times":
        return latest(elements, group)
    if kind == "days":
        return distinct_days(elements.to_numpy(), group)
    numbers, counts = elements.flatten()
    return counted(numbers, counts.to_numpy(), group, is_spread=kind == "spread")


def _ranks(values: pa.Array, kind: str) -> Iterable[np.ndarray]:
    """Sort keys for numpy.lexsort, the last one the most important."""
    if kind in ("min", "max"):
        return [pc.rank(values, tiebreaker="dense").to_numpy()]
    fields = [values.field(number) for number in range(3)]
    return [(field.cast(pa.int64()) if pa.types.is_temporal(field.type) else field).to_numpy() for field in reversed(fields)]


def _unions(sketches: pa.Array, starts: np.ndarray, ends: np.ndarray) -> pa.Array:
    parts = sketches.to_pylist()
    return pa.array([parts[start] if end - start == 1 else merge_sketches(parts[start:end]) for start, end in zip(starts, ends, strict=True)], pa.binary())


def _unequal(old: pa.Array, new: pa.Array, kind: str) -> np.ndarray:
    """Where two columns differ, null being equal to null."""
    if old.null_count == len(old) and new.null_count == len(new):
        return np.zeros(len(old), dtype=bool)
    unequal = old.is_valid().to_numpy(zero_copy_only=False) != new.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_struct(old.type):
        for left, right in zip(old.flatten(), new.flatten(), strict=True):
            unequal |= _unequal(left, right, "")
        return unequal
    if pa.types.is_list(old.type):
        pairs = zip(old.to_pylist(), new.to_pylist(), strict=True)
        return unequal | np.fromiter((one is not None and other is not None and one != other for one, other in pairs), dtype=bool, count=len(old))
    different = np.flatnonzero(pc.fill_null(pc.not_equal(old, new), False).to_numpy(zero_copy_only=False))
    if kind == "distinct" and len(different):
        pairs = zip(old.take(pa.array(different)).to_pylist(), new.take(pa.array(different)).to_pylist(), strict=True)
        different = different[np.fromiter((estimate(one) != estimate(other) for one, other in pairs), dtype=bool, count=len(different))]
    unequal[different] = True
    return unequal
