"""Bands from a few numbers: what they are learned from, how wide chance makes them, and that what recurs stays in them."""

import numpy as np
import pytest

from serving.data_health.bands import DAY, HOUR, WEEK, Past, band_of
from serving.data_health.divergence import divergence
from serving.data_health.scales import Counts, Shares

MONDAY = 4 * DAY


def past(values: list[float], records: int = 1_000) -> Past:
    count = len(values)
    return Past(MONDAY + HOUR * np.arange(count), np.array(values, float), np.full(count, records), np.zeros(count))


def expected(values: list[float], *, records: int = 1_000, scale=Counts()):
    return band_of(past(values, records), scale, start=MONDAY + HOUR * len(values), records=records, noise=0)


def test_a_day_of_windows_is_needed():
    assert expected([100.0] * 23) is None
    assert expected([100.0] * 24).windows == 24


def test_a_steady_count_varies_by_chance_and_a_little_more():
    band = expected([400.0] * (4 * 168))
    assert 270 < band.low < 330 and 470 < band.high < 560


def test_a_share_of_few_records_may_be_larger_than_one_of_many():
    few, many = (expected([0.01] * (4 * 168), records=records, scale=Shares()) for records in (50, 5_000))
    assert few.high > 0.1 > 0.03 > many.high > 0.015
    assert few.low == many.low == 0


def test_one_outlier_in_ten_does_not_widen_the_band():
    quiet = [400.0 + 10 * (n % 5) for n in range(4 * 168)]
    spoiled = [value * (20 if n % 10 == 3 else 1) for n, value in enumerate(quiet)]
    assert expected(spoiled).high < 1.3 * expected(quiet).high


def test_an_hour_of_the_week_has_its_own_band():
    values = [2_000.0 if n % 168 == 9 else 200.0 for n in range(3 * 168 + 9)]
    band = expected(values)
    assert band.low < 2_000 < band.high
    assert expected([*values, 2_000.0]).high < 400


def test_a_weekend_is_in_the_band_while_there_are_too_few_weeks():
    values = [50.0 if n // 24 % 7 >= 5 else 200.0 for n in range(12 * 24)]
    band = expected(values)
    assert (band.by, band.low < 50 < 200 < band.high) == ("hour_of_day", True)
    assert band.low > 5


@pytest.mark.parametrize("count", [0, 1, 3])
def test_where_hardly_anything_comes_nothing_is_no_surprise(count):
    band = expected([1.0, 0.0, 2.0, 0.0] * 168)
    assert band.low <= count <= band.high


def test_divergence_is_zero_for_the_same_and_one_for_nothing_in_common():
    assert divergence({"a": 3, "b": 1}, {"a": 300, "b": 100}).bits == pytest.approx(0, abs=1e-12)
    assert divergence({"a": 5}, {"b": 7}).bits == pytest.approx(1)


def test_chance_alone_shows_the_divergence_that_is_foretold():
    chance, shares = np.random.default_rng(5), [0.5, 0.2, 0.2, 0.1]
    reference = {str(name): count for name, count in enumerate(chance.multinomial(100_000, shares).tolist())}
    found = [divergence({str(name): int(count) for name, count in enumerate(chance.multinomial(500, shares))}, reference) for _ in range(2_000)]
    assert np.mean([one.bits for one in found]) == pytest.approx(found[0].noise, rel=0.1)
    assert max(one.bits for one in found) < found[0].noise + found[0].allowance


def test_a_week_is_seven_days():
    assert WEEK == 7 * DAY == 168 * HOUR
