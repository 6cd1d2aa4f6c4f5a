"""Distinct counting: estimates depend on the set of values only."""

import random

import pytest
from datasketches import hll_sketch, tgt_hll_type

from millrace.traits.sketches import LG_K, estimate, merge_sketches


def sketch(values: list[str], lg_k: int = LG_K, kind: tgt_hll_type = tgt_hll_type.HLL_8, compact: bool = True) -> bytes:
    found = hll_sketch(lg_k, kind)
    for value in values:
        found.update(value)
    return found.serialize_compact() if compact else found.serialize_updatable()


def test_nothing_seen_is_no_value():
    assert estimate(None) == estimate(sketch([])) == 0


@pytest.mark.parametrize("size", [1, 10, 300, 383, 400, 5_000, 50_000])
def test_the_estimate_does_not_depend_on_order_or_on_how_the_parts_were_cut(size):
    values = [f"v{number}" for number in range(size)]
    expected = estimate(sketch(values))
    for seed in range(3):
        shuffled = random.Random(seed).sample(values, size)
        parts = [sketch(shuffled[start::7]) for start in range(7)]
        assert estimate(merge_sketches(parts)) == expected
        assert estimate(merge_sketches([merge_sketches(parts[:3]), merge_sketches(parts[3:]), parts[0]])) == expected


def test_the_form_of_the_bytes_does_not_matter():
    values = [str(number) for number in range(2_000)]
    estimates = {estimate(sketch(values, kind=kind, compact=compact)) for kind in (tgt_hll_type.HLL_4, tgt_hll_type.HLL_8) for compact in (True, False)}
    assert len(estimates) == 1


def test_the_error_stays_within_four_standard_errors():
    for seed in range(5):
        values = [f"{seed}/{number}" for number in range(30_000)]
        assert abs(estimate(sketch(values)) - 30_000) < 4 * 0.0163 * 30_000
