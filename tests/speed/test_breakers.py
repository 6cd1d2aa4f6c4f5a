"""Breakers: which epochs put a source over its limits, and what the alert says."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from millrace.definitions import Definitions
from millrace.tables.catalogue import OPS_ALERTS
from millrace.tables.delta import TenantTables
from speed.breakers import Breakers

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMITS = {"share": 0.5, "count": 10, "window": "60s", "action": "pause", "pause": "120s"}


class Stream:
    """Epochs of a shop with a breaker and a blog without, at seconds after the start."""

    def __init__(self, root, **limits: object) -> None:
        self.tables = TenantTables(root, "t")
        self._breakers = Breakers(self.tables, Definitions.model_validate({"views": {}, "sources": {"shop": {"breaker": LIMITS | limits}, "blog": {}}}))
        self.epoch = 0

    def epoch_at(self, seconds: float, *, accepted: int = 0, rejected: int = 0, source: str = "shop") -> None:
        self.epoch += 1
        reasons = [None] * accepted + ["plan_violation"] * (rejected - rejected // 3) + ["bad_timestamp"] * (rejected // 3)
        at = [START + timedelta(seconds=seconds)] * len(reasons)
        rows = pa.table({"source": [source] * len(reasons), "reason": pa.array(reasons, pa.string()), "received_at": pa.array(at, pa.timestamp("us", tz="UTC"))})
        self._breakers.after_epoch(self.epoch, rows)

    def alerts(self) -> list[dict]:
        return self.tables.read(OPS_ALERTS).sort_by("epoch").to_pylist()


def test_a_source_over_count_and_share_within_the_window_is_told_once(tmp_path):
    stream = Stream(tmp_path)
    stream.epoch_at(0, accepted=5, rejected=6)
    stream.epoch_at(30, accepted=1, rejected=6)
    stream.epoch_at(31, rejected=50)
    (alert,) = stream.alerts()
    assert (alert["source"], alert["epoch"], alert["received"], alert["rejected"], alert["kind"], alert["action"]) == ("shop", 2, 18, 12, "rejects", "pause")
    assert (alert["share"], alert["since"], alert["until"] - alert["raised_at"]) == (12 / 18, START, timedelta(seconds=120))
    assert json.loads(alert["reasons"]) == {"plan_violation": 8, "bad_timestamp": 4}


@pytest.mark.parametrize(
    "epochs",
    [
        [(0, 0, 9)], [(0, 20, 19)], [(0, 0, 9), (60, 0, 9), (120, 0, 9)], [(0, 100, 0), (30, 0, 60)],
    ],
    ids=["too few", "too small a share", "each in a window of its own", "most of the window was fine"],
)  # fmt: skip
def test_a_source_below_a_limit_is_left_alone(tmp_path, epochs):
    stream = Stream(tmp_path)
    for seconds, accepted, rejected in epochs:
        stream.epoch_at(seconds, accepted=accepted, rejected=rejected)
    assert stream.tables.open(OPS_ALERTS) is None


def test_after_a_pause_it_is_watched_anew_and_a_flag_is_raised_once_a_window(tmp_path):
    paused, flagged = Stream(tmp_path / "a"), Stream(tmp_path / "b", action="flag")
    for stream in (paused, flagged):
        for seconds in (0, 59, 60, 61, 119, 120, 121):
            stream.epoch_at(seconds, rejected=10)
    assert [alert["epoch"] for alert in paused.alerts()] == [1, 6]
    assert [(alert["epoch"], alert["until"]) for alert in flagged.alerts()] == [(1, None), (3, None), (6, None)]


def test_other_sources_and_empty_epochs_are_nothing_to_a_breaker(tmp_path):
    stream = Stream(tmp_path)
    stream.epoch_at(0, rejected=100, source="blog")
    stream.epoch_at(1)
    assert stream.tables.open(OPS_ALERTS) is None
