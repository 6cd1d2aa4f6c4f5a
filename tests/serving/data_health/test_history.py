"""What history learns and what not: anomalies are left out, a change that stays becomes usual after days, and a restart anywhere finds the same history in the table."""

import random
from pathlib import Path

import pyarrow as pa
import pytest

from millrace.tables.catalogue import HEALTH
from millrace.tables.delta import TenantTables
from serving.data_health.history import read_history
from tests.serving.data_health.logged import HOUR
from tests.serving.data_health.seasons import Rows, Seasons, anomalies


@pytest.fixture(scope="module")
def known() -> Seasons:
    seasons = Seasons(level=600)
    seasons.run(22 * 24)
    return seasons


def bands(rows: Rows) -> list[tuple[float, float]]:
    return [(row["expected_low"], row["expected_high"]) for row in rows if (row["source"], row["measure"]) == ("shop", "received")]


def test_an_anomaly_is_not_learned(known: Seasons) -> None:
    quiet, damaged = known.copy(), known.copy()
    quiet.run(4)
    rows = damaged.run(4, lambda hour: {"times": 5})
    assert len(anomalies(rows, source="shop", measure="received")) == 4
    after = [bands(one.run(48)) for one in (quiet, damaged)]
    assert all(high < 1.4 * usual for (_, usual), (_, high) in zip(*after, strict=True))


def test_an_anomaly_that_lasts_has_one_beginning(known: Seasons) -> None:
    rows = anomalies(known.copy().run(5, lambda hour: {"times": 0}), source="shop", measure="received")
    assert [row["anomaly_since"] for row in rows] == [rows[0]["window_start"]] * 5


def test_what_stays_for_three_days_is_learned_anew(known: Seasons) -> None:
    rows = [row for row in known.copy().run(140, lambda hour: {"times": 8}) if (row["source"], row["measure"]) == ("shop", "received")]
    states = [row["state"] for row in rows]
    begins_anew = states.index("learning")
    assert 36 <= begins_anew <= 72 and set(states[:begins_anew]) == {"anomaly"}
    assert states[begins_anew : begins_anew + 24] == ["learning"] * 24
    assert states[begins_anew + 24 :].count("anomaly") <= 4
    assert rows[-1]["history_since"] == rows[begins_anew]["window_start"]


def test_nothing_is_expected_before_a_day_of_windows() -> None:
    rows = [row for row in Seasons().run(26) if (row["source"], row["measure"]) == ("shop", "received")]
    assert [row["state"] for row in rows] == ["learning"] * 24 + ["normal"] * 2, "a Sunday is known, and it is Monday"
    assert rows[0]["expected_low"] is None and rows[24]["learned_windows"] == 24


def test_bands_go_from_all_windows_to_hours_of_the_day_to_hours_of_the_week() -> None:
    rows = [row for row in Seasons().run(23 * 24) if (row["source"], row["measure"]) == ("shop", "received")]
    assert [rows[24 * day + 12]["learned_by"] for day in (0, 2, 6, 8, 20, 22)] == [None, "all", "all", "hour_of_day", "hour_of_day", "hour_of_week"]


@pytest.mark.parametrize("seed", range(2))
def test_a_restart_anywhere_changes_no_row(seed: int, tmp_path: Path) -> None:
    """With silences, storms, reasons that come and go, and changes that stay."""
    chance = random.Random(seed)
    damages = [chance.choice(({}, {}, {}, {"times": 0}, {"times": 6}, {"rejected": 0}, {"rejected": 0.3}, {"nulls": 0.5}, {"mix": (0.1, 0.1, 0.8)})) for _ in range(6)]
    once, often, tables = Seasons(level=80, seed=seed), Seasons(level=80, seed=seed), TenantTables(tmp_path, "t")
    tables.create(HEALTH)
    rows = []
    for damage in damages:
        hours = chance.randrange(20, 90)
        rows += once.run(hours, lambda hour, damage=damage: damage)
        written = often.run(hours, lambda hour, damage=damage: damage)
        tables.append(HEALTH, pa.Table.from_pylist(written, schema=HEALTH.schema), app_id="test", epoch=often.hour)
        often.history, end = read_history(tables, length=HOUR)
        assert end == often.window()[0]
    assert len(anomalies(rows)) > 10
    order = [("window", "ascending"), ("source", "ascending"), ("measure", "ascending"), ("about", "ascending")]
    assert tables.read(HEALTH).sort_by(order).to_pylist() == pa.Table.from_pylist(rows, schema=HEALTH.schema).sort_by(order).to_pylist()
