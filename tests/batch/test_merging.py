"""Merge and comparison over whole tables agree with the algebra in plain Python, row by row."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest
from datasketches import hll_sketch, tgt_hll_type
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.merging import differing_rows, merge_rows
from millrace.tables.catalogue import NUMBER, TIME, state_type
from millrace.traits.algebra import KINDS, merge_all, scaled
from millrace.traits.sketches import LG_K, estimate
from millrace.traits.states import State
from tests.laws.product import shown as python_form

START = datetime(2017, 5, 6, tzinfo=UTC)
POSITIONED = pa.struct([("at", TIME), ("partition", pa.int32()), ("offset", pa.int64()), ("value", pa.string())])
ADDED = ("squares", "counts", "spread", "times", "days")
OF = {"counts": "string"}
SCHEMA = pa.schema(
    [("key", pa.string()), ("hop_start", TIME), ("count", pa.int64()), ("sum", NUMBER), ("min", NUMBER), ("max", pa.string()), ("first", POSITIONED),
     ("last", POSITIONED), ("distinct", pa.binary()), *((kind, state_type(State(kind, kind, None, OF.get(kind, "number"), (), None))) for kind in ADDED)]
)  # fmt: skip
KEYS = ("key", "hop_start")
ALL = {name: name for name in KINDS}

moments = st.integers(0, 3).map(lambda minutes: START + timedelta(minutes=minutes))
amounts = st.decimals(min_value=-(10**14), max_value=10**14, places=9) | st.decimals(min_value=Decimal(10) ** 24, max_value=Decimal(10) ** 28, places=9)
positioned = st.tuples(moments, st.integers(0, 2), st.integers(0, 10**6))


def sketch(values: list[int]) -> bytes:
    found = hll_sketch(LG_K, tgt_hll_type.HLL_8)
    for value in values:
        found.update(str(value))
    return found.serialize_compact()


def struct_of(position: tuple[datetime, int, int]) -> dict:
    at, partition, offset = position
    return {"at": at, "partition": partition, "offset": offset, "value": f"{partition}-{offset}" if offset % 2 else None}


MANY = st.builds(lambda start, size: range(start, start + size), st.integers(0, 900), st.integers(900, 1_001))


def listed(kind: str, values: st.SearchStrategy) -> st.SearchStrategy:
    """States of values with counts, sometimes with so many that two or one of them are beyond the bound."""
    some = st.dictionaries(values, st.integers(1, 3), min_size=1, max_size=4) | MANY.map(lambda many: {n * 10**9 if kind == "spread" else str(n): 1 for n in many})
    made = some.map(lambda counts: merge_all(kind, [[[value, count]] for value, count in counts.items()]))
    return made.map(lambda state: [{"value": Decimal(one).scaleb(-9) if kind == "spread" and one is not None else one, "count": count} for one, count in state])


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "key": st.sampled_from("abc"), "hop_start": moments, "count": st.none() | st.integers(0, 2**40), "sum": st.none() | amounts, "min": st.none() | amounts,
                    "max": st.none() | st.text(max_size=3), "first": st.none() | positioned.map(struct_of), "last": st.none() | positioned.map(struct_of),
                    "squares": st.none() | st.tuples(amounts, amounts, amounts).map(lambda parts: dict(zip(("high", "middle", "low"), parts, strict=True))),
                    "counts": st.none() | listed("counts", st.text(max_size=2)), "spread": st.none() | listed("spread", amounts.map(scaled)),
                    "times": st.none() | st.lists(moments, min_size=1, max_size=4).map(sorted) | MANY.map(lambda many: [START + timedelta(hours=n) for n in many]),
                    "days": st.none() | st.sets(st.integers(0, 9), min_size=1).map(sorted),
                    "distinct": st.none() | st.lists(st.integers(0, 50), max_size=12).map(sketch),
                }
            ),
            max_size=12,
        )
    )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def expected(table: pa.Table) -> dict:
    groups: dict = {}
    for row in table.to_pylist():
        groups.setdefault(tuple(row[key] for key in KEYS), []).append(row)
    return {key: {kind: shown(kind, merge_all(kind, [plain(kind, row[kind]) for row in rows])) for kind in KINDS} for key, rows in groups.items()}


def plain(kind: str, value: object) -> object:
    """A value in the Python form of the algebra."""
    found = python_form(value, kind)
    return tuple(value.values()) if isinstance(value, dict) and kind != "squares" else found


def shown(kind: str, value: object) -> object:
    return estimate(value) if kind == "distinct" and value is not None else value


@given(table=tables(), chunk=st.integers(1, 5))
@settings(max_examples=300, deadline=None)
def test_merged_rows_are_what_the_algebra_says(table, chunk):
    chunked = pa.concat_tables([table.slice(start, chunk) for start in range(0, len(table), chunk)] or [table])
    merged = merge_rows(chunked, keys=KEYS, kinds=ALL)
    found = {tuple(row[key] for key in KEYS): {kind: shown(kind, plain(kind, row[kind])) for kind in KINDS} for row in merged.to_pylist()}
    assert merged.schema.equals(SCHEMA)
    assert len(merged) == len(found)
    assert found == expected(table)


@given(old=tables(), new=tables())
@settings(max_examples=300, deadline=None)
def test_rows_differ_exactly_where_the_merged_states_do(old, new):
    rows, compared = differing_rows(old, new, keys=KEYS, kinds=ALL)
    left, right = expected(old), expected(new)
    zeros = dict.fromkeys(KINDS)
    different = {
        key: {kind for kind in KINDS if left.get(key, zeros)[kind] != right.get(key, zeros)[kind]} for key in left.keys() | right.keys()
    }  # fmt: skip
    assert compared == len(different)
    assert {(row["key"], row["hop_start"]): set(row["columns"].split(",")) for row in rows.to_pylist()} == {
        key: kinds for key, kinds in different.items() if kinds
    }


@pytest.mark.parametrize("size", [3, 50, 400, 5_000])
def test_sketches_of_one_set_are_equal_whatever_the_order_they_were_fed_in(size):
    values = list(range(size))
    rows = [{"key": "a", "hop_start": START, "distinct": sketch(part)} for part in (values, values[::-1])]
    left, right = (pa.Table.from_pylist([row], schema=SCHEMA) for row in rows)
    assert len(differing_rows(left, right, keys=KEYS, kinds=ALL)[0]) == 0


def test_a_sketch_with_one_value_more_is_a_difference():
    left, right = (pa.Table.from_pylist([{"key": "a", "hop_start": START, "distinct": sketch(part)}], schema=SCHEMA) for part in ([1, 2], [1, 2, 3]))
    assert differing_rows(left, right, keys=KEYS, kinds=ALL)[0]["columns"].to_pylist() == ["distinct"]
