"""Nodes as numbers: whatever the names look like, the numbers are in the order of the names and come back as the names."""

import random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from millrace.identity.node_codes import AT_ONCE, codes_of
from millrace.identity.nodes import NAMESPACES


def tokens(count: int, *, digits: str = "0123456789abcdef", seed: int = 3) -> list[str]:
    chance = random.Random(seed)
    return [f"{chance.choice(NAMESPACES)}:{''.join(chance.choices(digits, k=32))}" for _ in range(count)]


def chunked(names: list[str], parts: int = 3) -> pa.ChunkedArray:
    return pa.chunked_array([names[n::parts] for n in range(parts)], pa.string())


def check(names: pa.ChunkedArray) -> None:
    distinct, codes = codes_of(names)
    assert distinct.type == pa.string()
    distinct.validate(full=True)
    assert distinct.to_pylist() == sorted(set(names.to_pylist()))
    assert distinct.take(pa.array(codes)).to_pylist() == names.to_pylist()


def test_tokens_are_numbered_in_the_order_of_their_names():
    names = tokens(2_000)
    check(chunked(names + random.Random(1).choices(names, k=3_000)))


@pytest.mark.parametrize("digits", ["0", "0f", "9a", "00000000000000000001"])
def test_tokens_that_begin_alike_are_told_apart(digits):
    check(chunked(tokens(3_000, digits=digits)))


def test_tokens_that_differ_in_their_last_letter_only_are_told_apart():
    check(chunked([f"{namespace}:{'7' * 31}{letter}" for namespace in NAMESPACES for letter in "f0a9" for _ in range(3)]))


def test_slices_of_larger_arrays_are_read_at_their_place():
    whole = pa.array(tokens(AT_ONCE + 500))
    check(pa.chunked_array([whole.slice(3, AT_ONCE + 200), whole.slice(7, 1), whole.slice(9, 0)]))


@pytest.mark.parametrize(
    "odd",
    ["email:" + "A" * 32, "email:" + "g" * 32, "email:" + "f" * 31, "email:" + "f" * 33, "email:" + "0" * 31 + ":", "emaiL:" + "f" * 32, "loyalty:" + "f" * 32, "", "ä", "user_id", "phone:1",
     "phone_x:" + "f" * 30, "email:" + "f" * 30 + "ß", "email:" + "f" * 31 + "o"],
)  # fmt: skip
def test_names_without_such_a_token_are_compared_as_text(odd):
    names = tokens(50)
    check(chunked([*names[:20], odd, *names, odd, "email:" + "f" * 32]))


def test_no_names_have_no_numbers():
    distinct, codes = codes_of(pa.chunked_array([], pa.string()))
    assert (len(distinct), len(codes)) == (0, 0)


def test_large_strings_are_names_too():
    names = tokens(20)
    distinct, codes = codes_of(chunked(names).cast(pa.large_string()))
    assert distinct.take(pa.array(codes)).to_pylist() == [name for n in range(3) for name in names[n::3]]


def test_a_million_names_come_back():
    rng = np.random.default_rng(8)
    names = pa.array([f"email:{number:032x}" for number in rng.integers(0, 1 << 62, 500_000).tolist()])
    doubled = pa.chunked_array([names, names.take(pa.array(rng.permutation(len(names))))])
    distinct, codes = codes_of(doubled)
    assert pc.all(pc.equal(distinct.take(pa.array(codes)), doubled.combine_chunks())).as_py()
    assert pc.all(pc.less(distinct[:-1], distinct[1:])).as_py()
