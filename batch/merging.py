"""Merge and comparison of rows that share keys, Arrow in, Arrow out: the algebra of states over whole tables. states.py and proof.py call it.

Agrees with millrace/algebra.py on every input (tests/batch/test_merging.py). A null state is the zero. Pure: no session, no I/O, no clock.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.algebra import NUMBER_TYPE
from millrace.fold import sums
from millrace.sketches import estimate, merge_sketches

Kinds = Mapping[str, str]
"""Columns with the kind of their merge (millrace.algebra.KINDS). A first or last is a struct whose leading fields say where it comes."""


def merge_rows(rows: pa.Table, *, keys: Sequence[str], kinds: Kinds) -> pa.Table:
    """One row per key from any number of partial rows, in no promised order; only ``keys`` and the columns of ``kinds`` leave."""
    return _merge(rows.select([*keys, *kinds]), key_codes(rows, keys), kinds)[0]


def key_codes(rows: pa.Table, keys: Sequence[str]) -> np.ndarray:
    """A number for each row, equal exactly where all key columns are equal."""
    codes = np.zeros(len(rows), dtype=np.int64)
    for name in keys:
        encoded = rows[name].combine_chunks().dictionary_encode()
        codes = codes * max(len(encoded.dictionary), 1) + encoded.indices.to_numpy()
    return codes


def differing_rows(old: pa.Table, new: pa.Table, *, keys: Sequence[str], kinds: Kinds) -> tuple[pa.Table, int]:
    """Keys at which the merged rows of the two sides differ, with the names of the columns that do, and the number of keys compared.

    An absent row is a row of zeros. Sketches are compared by estimate where their bytes differ: the bytes depend on the order of merges.
    """
    both = pa.concat_tables([side.select([*keys, *kinds]) for side in (old, new)])
    codes = key_codes(both, keys)
    (old, old_codes), (new, new_codes) = (
        _merge(side, part, kinds) for side, part in ((both.slice(0, len(old)), codes[: len(old)]), (both.slice(len(old)), codes[len(old) :]))
    )
    found = np.union1d(old_codes, new_codes)
    left, right = _positions(found, old_codes), _positions(found, new_codes)
    unequal = {name: _unequal(old[name].combine_chunks().take(left), new[name].combine_chunks().take(right), kind) for name, kind in kinds.items()}
    rows = np.flatnonzero(np.logical_or.reduce(list(unequal.values()))) if len(found) else np.zeros(0, dtype=np.int64)
    columns = {name: pc.coalesce(*(side[name].combine_chunks().take(at.take(pa.array(rows))) for side, at in ((old, left), (new, right)))) for name in keys}
    names = [",".join(name for name in unequal if unequal[name][row]) for row in rows]
    return pa.table(columns | {"columns": pa.array(names, pa.string())}), len(found)


def _merge(rows: pa.Table, codes: np.ndarray, kinds: Kinds) -> tuple[pa.Table, np.ndarray]:
    """Merged rows and the code of each. Rows that are alone with their key, most of them as a rule, are passed on as they are."""
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(codes) else np.zeros(0, dtype=np.int64)
    if len(starts) == len(codes):
        return rows, codes
    sizes = np.diff(np.r_[starts, len(codes)])
    alone, first = order[starts[sizes == 1]], order[starts[sizes > 1]]
    several = rows.take(pa.array(order[np.repeat(sizes > 1, sizes)]))
    group = np.repeat(np.arange(len(first)), sizes[sizes > 1])
    merged = {name: _merged_column(several[name].combine_chunks(), kinds[name], group, len(first)) if name in kinds else None for name in rows.column_names}
    keys = rows.select([name for name in rows.column_names if name not in kinds]).take(pa.array(first))
    columns = [keys[name].combine_chunks() if column is None else column for name, column in merged.items()]
    return pa.concat_tables([rows.take(pa.array(alone)), pa.Table.from_arrays(columns, schema=rows.schema)]), codes[np.r_[alone, first]]


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
    elif kind == "distinct":
        found = _unions(values, starts, ends)
    else:
        by_rank = np.lexsort((*_ranks(values, kind), group))
        found = values.take(pa.array(by_rank[starts] if kind in ("min", "first") else by_rank[ends - 1]))
    position = np.full(groups, -1)
    position[group[starts]] = np.arange(len(starts))
    return found.take(pa.array(position, mask=position < 0))


def _ranks(values: pa.Array, kind: str) -> Iterable[np.ndarray]:
    """Sort keys for numpy.lexsort, the last one the most important."""
    if kind in ("min", "max"):
        return [pc.rank(values, tiebreaker="dense").to_numpy()]
    fields = [values.field(number) for number in range(3)]
    return [(field.cast(pa.int64()) if pa.types.is_temporal(field.type) else field).to_numpy() for field in reversed(fields)]


def _unions(sketches: pa.Array, starts: np.ndarray, ends: np.ndarray) -> pa.Array:
    parts = sketches.to_pylist()
    return pa.array([parts[start] if end - start == 1 else merge_sketches(parts[start:end]) for start, end in zip(starts, ends, strict=True)], pa.binary())


def _positions(wanted: np.ndarray, codes: np.ndarray) -> pa.Array:
    """Row of each wanted code; null where there is none."""
    if not len(codes):
        return pa.nulls(len(wanted), pa.int64())
    order = np.argsort(codes, kind="stable")
    place = np.minimum(np.searchsorted(codes, wanted, sorter=order), len(codes) - 1)
    return pa.array(order[place], mask=codes[order[place]] != wanted)


def _unequal(old: pa.Array, new: pa.Array, kind: str) -> np.ndarray:
    """Where two columns differ, null being equal to null."""
    old_there, new_there = (side.is_valid().to_numpy(zero_copy_only=False) for side in (old, new))
    unequal = old_there != new_there
    both = np.flatnonzero(old_there & new_there)
    if not len(both):
        return unequal
    left, right = old.take(pa.array(both)), new.take(pa.array(both))
    if pa.types.is_struct(left.type):
        for number in range(left.type.num_fields):
            unequal[both] |= _unequal(left.field(number), right.field(number), "")
        return unequal
    different = both[pc.not_equal(left, right).to_numpy(zero_copy_only=False)]
    if kind == "distinct" and len(different):
        pairs = zip(old.take(pa.array(different)).to_pylist(), new.take(pa.array(different)).to_pylist(), strict=True)
        different = different[np.fromiter((estimate(one) != estimate(other) for one, other in pairs), dtype=bool, count=len(different))]
    unequal[different] = True
    return unequal
