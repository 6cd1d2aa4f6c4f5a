"""What is told and what is not: four weeks of two sources with days, weekends and noise stay quiet; then something happens to one of them. Seeds are fixed."""

import pytest

from tests.serving.data_health.seasons import Rows, Seasons, anomalies

WEEKS = 4
DAMAGES = {
    "it stops": ({"times": 0}, "received"),
    "half of it is missing": ({"times": 0.5}, "received"),
    "a tenth of its orders has no revenue, not a hundredth": ({"nulls": 0.1}, "null_share"),
    "everything comes three times": ({"times": 3, "repeated": 0.66}, "duplicate_share"),
    "pages and orders have changed places": ({"mix": (0.1, 0.3, 0.6)}, "event_mix"),
    "its clock is two hours slow": ({"lag": 7_200.0}, "lateness_median"),
    "its clock is two hours fast, and times are held to five minutes": ({"lag": -300.0}, "lateness_median"),
    "a tenth of it is rejected": ({"rejected": 0.1}, "reject_share"),
}


@pytest.fixture(scope="module")
def quiet() -> tuple[Seasons, Rows]:
    """Four weeks and twelve hours: the next hours are those of a Sunday at noon, when the shop sends some 300 records an hour."""
    seasons = Seasons()
    return seasons, seasons.run(WEEKS * 168 + 12)


def test_of_quiet_weeks_hardly_anything_is_told(quiet: tuple[Seasons, Rows]) -> None:
    """One in 10,000 measures judged would be 3 of these 28,000; the bands aim at 1 in 30,000 on each side."""
    judged = [row for row in quiet[1] if row["state"] != "learning"]
    assert len(judged) > 27_000
    assert len(anomalies(judged)) <= 3, [row["sentence"] for row in anomalies(judged)]


@pytest.mark.parametrize("name", DAMAGES)
def test_it_is_told_within_three_hours_when(name: str, quiet: tuple[Seasons, Rows]) -> None:
    damage, measure = DAMAGES[name]
    rows = quiet[0].copy().run(3, lambda hour: damage)
    found = anomalies(rows, source="shop", measure=measure)
    assert found and all(row["sentence"] and "shop" in row["sentence"] for row in found)
    assert anomalies(rows, source="app") == []


def test_an_hour_of_silence_is_told_in_a_sentence(quiet: tuple[Seasons, Rows]) -> None:
    (row, *_) = anomalies(quiet[0].copy().run(1, lambda hour: {"times": 0}), source="shop", measure="received")
    low, high = (f"{round(row[name]):,}" for name in ("expected_low", "expected_high"))
    assert row["sentence"] == f"From 2026-03-29 12:00 to 2026-03-29 13:00 UTC shop sent 0 records; {low} to {high} were expected."
    assert (row["learned_by"], row["observed"], row["anomaly_since"]) == ("hour_of_week", 0.0, row["window_start"])


def test_few_records_are_not_told_of(quiet: tuple[Seasons, Rows]) -> None:
    """With five records an hour none of them is an hour as any other."""
    seasons = Seasons(level=5)
    assert anomalies(seasons.run(10 * 24)) == []
    assert anomalies(seasons.run(2, lambda hour: {"times": 0}), measure="received") == []
