"""The measures of a clustering against their definitions, pair by pair and record by record."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.clusterings import Agreement, agreement
from tests.laws.law import law


def by_definition(found: list[int], true: list[int]) -> Agreement:
    records = range(len(found))
    together = {(n, m) for n, m in combinations(records, 2) if found[n] == found[m]}
    belong = {(n, m) for n, m in combinations(records, 2) if true[n] == true[m]}
    precision = len(together & belong) / len(together) if together else 1.0
    recall = len(together & belong) / len(belong) if belong else 1.0
    both = [sum(found[n] == found[m] and true[n] == true[m] for m in records) for n in records]
    clusters = [[true[n] for n in records if found[n] == label] for label in set(found)]
    excess = max(len(inside) - max((inside.count(of), true.count(of)) for of in inside)[1] for inside in clusters)
    return Agreement(
        precision, recall, 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        sum(both[n] / found.count(found[n]) for n in records) / len(found), sum(both[n] / true.count(true[n]) for n in records) / len(found),
        max(map(found.count, found)), excess,
    )  # fmt: skip


@law(share=0.25)
@given(labels=st.lists(st.tuples(st.integers(-3, 3), st.integers(5, 9)), min_size=1, max_size=12))
def test_the_measures_are_what_their_definitions_say(labels):
    found, true = (list(column) for column in zip(*labels, strict=True))
    assert tuple(agreement(np.array(found), np.array(true))) == pytest.approx(tuple(by_definition(found, true)))


def test_no_records_agree():
    assert agreement(np.array([]), np.array([])) == Agreement(1.0, 1.0, 1.0, 1.0, 1.0, 0, 0)


def test_one_blob_of_a_million_records_is_as_bad_as_it_is():
    true = np.repeat(np.arange(500_000), 2)
    found = agreement(np.zeros(1_000_000, np.int64), true)
    assert (found.recall, found.largest, found.excess) == (1.0, 1_000_000, 999_998)
    assert found.precision == pytest.approx(1 / 999_999)
    alone = agreement(np.arange(1_000_000), true)
    assert (alone.precision, alone.recall, alone.bcubed_recall, alone.excess) == (1.0, 0.0, 0.5, -1)


def test_labels_of_different_records_are_refused():
    with pytest.raises(ValueError, match="3 records are clustered and 2 are labelled"):
        agreement(np.arange(3), np.arange(2))
