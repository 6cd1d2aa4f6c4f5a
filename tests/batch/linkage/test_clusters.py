import numpy as np
import pytest

from batch.linkage.clusters import Limits, average_linkage, components, no_limits, pairs_within

Pairs = dict[tuple[int, int], float]


def persons(rows: int, likely: Pairs, limits: Limits | None = None, *, largest: int = 10) -> list[int]:
    """The person of each row; pairs that are not given have probability 0."""
    joining = [pair for pair, probability in likely.items() if probability >= 0.8]
    labels = components(rows, *(np.array([pair[side] for pair in joining], np.int64) for side in (0, 1)))
    left, right = pairs_within(labels, largest=largest)
    probability = np.array([likely.get((a, b), 0.0) for a, b in zip(left.tolist(), right.tolist(), strict=True)])
    return average_linkage(labels, (left, right, probability), limits or no_limits(rows), accept=0.8, largest=largest).tolist()


def test_a_probable_pair_is_one_person() -> None:
    assert persons(3, {(0, 1): 0.9, (1, 2): 0.6}) == [0, 0, 2]


def test_one_weak_bridge_does_not_chain_two_groups() -> None:
    groups = {(0, 1): 0.99, (0, 2): 0.99, (1, 2): 0.99, (3, 4): 0.99, (3, 5): 0.99, (4, 5): 0.99}

    assert persons(6, groups | {(2, 3): 0.85}) == [0, 0, 0, 3, 3, 3]
    assert persons(6, groups | {(a, b): 0.85 for a in (0, 1, 2) for b in (3, 4, 5)}) == [0] * 6


def test_pairs_that_are_only_likely_join_nobody_however_many() -> None:
    assert persons(4, {(a, b): 0.7 for a in range(4) for b in range(a + 1, 4)}) == [0, 1, 2, 3]


def test_groups_without_a_probable_pair_stay_apart_also_within_a_component() -> None:
    limits = Limits(np.array([[0], [1], [1], [0]]), np.array([1]))

    assert persons(4, {(0, 3): 0.95, (1, 3): 0.8, (1, 2): 0.9, (0, 2): 0.7, (2, 3): 0.7}, limits) == [0, 1, 2, 0]


def test_two_values_of_a_unique_namespace_never_meet_not_even_through_a_third() -> None:
    limits = Limits(np.array([[1], [0], [1]]), np.array([1]))

    assert persons(3, {(0, 1): 0.95, (1, 2): 0.9, (0, 2): 0.99}, limits) == [0, 0, 2]


def test_a_pair_that_somebody_parted_never_meets_not_even_through_a_third() -> None:
    apart = Limits(np.zeros((3, 0), np.int64), np.zeros(0, np.int64), np.array([[2, 0]]))

    assert persons(3, {(0, 1): 0.95, (1, 2): 0.9, (0, 2): 0.99}, apart) == [0, 0, 2]
    assert apart.part(np.array([0, 1, 0]), np.array([2, 2, 1])).tolist() == [True, False, False]
    assert apart.part(np.array([1, 0]), np.array([2, 1]), group=np.array([0, 0, 2])).tolist() == [False, False], "rows stand for their groups by the first"
    assert apart.part(np.array([0]), np.array([2]), group=np.array([0, 0, 2])).tolist() == [True]


def test_a_component_too_large_to_decide_stays_apart() -> None:
    likely = {(a, a + 1): 0.99 for a in range(4)}

    assert persons(5, likely, largest=4) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_pairs_does_not_matter(seed: int) -> None:
    draw = np.random.default_rng(seed)
    pairs = [(a, b) for a in range(7) for b in range(a + 1, 7)]
    likely = dict(zip(pairs, draw.random(len(pairs)).round(3).tolist(), strict=True))
    shuffled = {pairs[at]: likely[pairs[at]] for at in draw.permutation(len(pairs))}

    assert persons(7, likely) == persons(7, shuffled)
