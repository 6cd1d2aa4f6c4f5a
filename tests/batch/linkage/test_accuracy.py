"""The linkage on records whose true persons are known. Thresholds and everything else are the defaults, the same for every set (how they were chosen: ADR 0013)."""

from functools import cache

import numpy as np
import pytest

from batch.linkage.attributes import comparable
from batch.linkage.linking import Linked, link
from batch.linkage.model import Model, train
from millrace.identity.linkage_rules import LinkageRules
from tests.batch.linkage.agreement import Agreement, agreement
from tests.batch.linkage.labelled import FAKE_1000, Labelled, fake_1000, febrl3, w2_2020

RULES = LinkageRules()


def linked(labelled: Labelled) -> tuple[Linked, Agreement]:
    rows = comparable(labelled.records, labelled.kinds)
    model = Model.from_json(train(rows, labelled.kinds).to_json())
    found = link(rows, model, accept=RULES.accept, review=RULES.review)
    return found, agreement(found.person, labelled.truth)


@cache
def on_febrl3() -> tuple[Linked, Agreement]:
    return linked(febrl3())


def test_persons_of_febrl3_are_found() -> None:
    _, found = on_febrl3()

    print(found)
    assert found.precision >= 0.999, found
    assert found.f1 >= 0.996, found
    assert found.largest <= found.largest_true, found


def test_estimated_recall_of_blocking_is_near_the_true_one() -> None:
    labelled, (found, _) = febrl3(), on_febrl3()
    pairs = set(zip(found.pairs.left.tolist(), found.pairs.right.tolist(), strict=True))
    order = np.argsort(labelled.truth, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(labelled.truth[order])) + 1)
    true = [(min(a, b), max(a, b)) for group in groups for i, a in enumerate(group.tolist()) for b in group.tolist()[:i]]

    assert 0 <= found.blocking_recall - sum(pair in pairs for pair in true) / len(true) + 0.01 < 0.02


def test_records_of_different_persons_stay_apart() -> None:
    labelled = febrl3()
    one_each = np.unique(labelled.truth, return_index=True)[1][:300]
    found, _ = linked(Labelled(labelled.records.take(one_each), labelled.kinds, labelled.truth[one_each]))

    assert len(np.unique(found.person)) == 300
    assert found.blocking_recall == 1.0


@pytest.mark.skipif(not FAKE_1000.is_file(), reason="MILLRACE_TEST_DATA names no folder with fake_1000.csv (moj-analytical-services/splink_datasets)")
def test_persons_of_fake_1000_are_found() -> None:
    _, found = linked(fake_1000())

    print(found)
    assert found.f1 >= 0.90, found
    assert found.largest <= found.largest_true, found


@pytest.mark.slow
def test_persons_of_households_are_told_apart() -> None:
    _, found = linked(w2_2020())

    print(found)
    assert found.precision >= 0.99, found
    assert found.recall >= 0.97, found
    assert found.largest <= found.largest_true, found
