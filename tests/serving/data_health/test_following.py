"""The watch over a log: which records are in a window, when it is final, what it says of them, promises of freshness, and that it stops at what it cannot prove."""

import json
from pathlib import Path
from typing import Any

import pytest

from millrace.definitions import Definitions
from millrace.errors import CoverageError
from millrace.tables.catalogue import EVENTS, FRESHNESS, OPS_ALERTS
from serving.data_health.progress import read_progress
from tests.serving.data_health.logged import DEFINITIONS, HOUR, Log, Said, Sent, moment, run, watch

MINUTE = 60


def measure(log: Log, name: str, about: str | None = None, *, source: str = "shop") -> list[Any]:
    return [row["observed"] for row in log.rows() if (row["source"], row["measure"], row["about"]) == (source, name, about)]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_a_window_is_final_when_every_partition_is_past_it(tmp_path: Path) -> None:
    log = Log(tmp_path, partitions=2)
    log.write(Sent(10), Sent(HOUR + 10), Sent(20, partition=1))
    follower = watch(log)
    assert log.rows() == []
    log.write(Sent(HOUR + 1, partition=1))
    run(follower)
    assert measure(log, "received") == [2.0]


def test_or_when_the_topic_holds_nothing_that_the_log_lacks(log: Log) -> None:
    log.write(Sent(10), Sent(20, "app"))
    follower = watch(log, until=HOUR - 1)
    assert log.rows() == []
    follower.topic = Said(log, HOUR)
    run(follower)
    assert (measure(log, "received"), measure(log, "received", source="*")) == ([1.0], [2.0])
    follower.topic = Said(log, 3 * HOUR)
    run(follower)
    assert measure(log, "received") == [1.0, 0.0, 0.0]


def test_silence_of_the_stream_is_not_silence_of_a_source(log: Log) -> None:
    log.write(Sent(10))
    follower = watch(log)
    ends = {("t.events", 0): (moment(5 * HOUR).timestamp() * 1_000_000, 7)}
    follower.topic.complete = lambda: ends
    run(follower)
    assert log.rows() == []


def test_each_share_is_of_what_it_says(log: Log) -> None:
    order, bare = {"properties": {"revenue": 10}}, {"properties": {"revenue": "much"}}
    log.write(
        Sent(1, late=4, body=order), Sent(2, late=100_000, body=bare, nodes=("anonymous_id:x",)), Sent(3, late=8, name="View", body={}), Sent(4, late=-100, name="", type="identify", body={}),
        Sent(5, verdict="duplicate"), Sent(6, verdict="bad_timestamp"), Sent(7, verdict="bad_timestamp"), Sent(8, verdict="missing_type"),
    )  # fmt: skip
    watch(log, until=HOUR)
    received = next(row for row in log.rows() if (row["source"], row["measure"]) == ("shop", "received"))
    assert json.loads(received["details"]) == {"accepted": 4, "duplicate": 1, "rejected": 3, "last_received_at": "2026-03-01T00:00:08Z"}
    assert (measure(log, "received"), measure(log, "duplicate_share"), measure(log, "reject_share")) == ([8.0], [0.2], [3 / 8])
    assert (measure(log, "reject_share", "bad_timestamp"), measure(log, "late_share")) == ([2 / 8], [0.25])
    assert (measure(log, "null_share", "user_id"), measure(log, "null_share", "phone")) == ([0.25], [1.0])
    assert measure(log, "null_share", "Order: properties.revenue") == [0.5]
    assert measure(log, "null_share", "identify calls: traits.city") == [1.0]
    mix = next(row for row in log.rows() if (row["source"], row["measure"]) == ("shop", "event_mix"))
    assert json.loads(mix["details"]) == {"track Order": 2, "track View": 1, "identify": 1}


def test_lateness_is_known_within_half_a_percent(log: Log) -> None:
    log.write(*(Sent(number / 10, late=number / 10) for number in range(1, 101)))
    watch(log, until=HOUR)
    assert measure(log, "lateness_median") == [pytest.approx(5.0, rel=0.006)]
    assert measure(log, "lateness_p95") == [pytest.approx(9.5, rel=0.006)]


def test_a_name_that_no_source_may_have_is_one_of_the_others(log: Log) -> None:
    log.write(Sent(1, "Nöt a näme"), Sent(2, ""), Sent(3, "*"))
    watch(log, until=HOUR)
    assert (measure(log, "received", source="(other)"), measure(log, "received", source="*")) == ([3.0], [3.0])


def test_a_clock_that_steps_back_counts_at_the_latest_time_before(log: Log) -> None:
    log.write(Sent(HOUR - 10), Sent(HOUR + 10), Sent(HOUR - 5))
    watch(log, until=3 * HOUR)
    assert measure(log, "received") == [1.0, 2.0, 0.0]


def test_a_time_far_ahead_of_the_epoch_counts_at_the_epoch(log: Log) -> None:
    log.write(Sent(10), Sent(900 * HOUR), committed=20)
    watch(log, until=HOUR)
    assert measure(log, "received") == [2.0]


def test_values_that_a_changed_definition_reads_are_looked_at_from_then_on(log: Log) -> None:
    now = [DEFINITIONS]
    follower = watch(log, definitions=lambda: now[0])
    log.write(Sent(1))
    run(follower)
    now[0] = Definitions.model_validate({"views": {"person": {"key": "node", "traits": {"colour": {"op": "last", "event": "Order", "value": "properties.colour"}}}}})
    log.write(Sent(2))
    follower.topic = Said(log, HOUR)
    run(follower)
    assert (measure(log, "null_share", "Order: properties.colour"), measure(log, "null_share", "Order: properties.revenue")) == ([1.0], [])


def test_a_log_that_holds_other_than_the_ledger_says_is_not_measured(log: Log) -> None:
    log.write(Sent(1), Sent(2))
    log.tables.open(EVENTS).delete('"offset" = 1')
    with pytest.raises(CoverageError, match="hold of epochs 1 to 1: 1 accepted and the ledger 2"):
        watch(log, until=HOUR)
    assert log.rows() == []


def test_windows_of_another_length_begin_where_the_last_one_ended(log: Log) -> None:
    log.write(*(Sent(at) for at in range(0, 3 * HOUR, 600)))
    watch(log, until=2 * HOUR)
    watch(log, until=3 * HOUR, length=1_800)
    assert measure(log, "received") == [6.0, 6.0, 3.0, 3.0]


def promises(log: Log) -> list[tuple[Any, ...]]:
    rows = log.tables.read(FRESHNESS).sort_by("noted_at").to_pylist()
    return [(row["source"], row["since"], row["breached_at"], row["until"]) for row in rows]


def test_a_promise_is_broken_by_the_clock_and_kept_again_by_the_next_record(log: Log) -> None:
    log.write(Sent(10))
    assert promises(log) == []
    watch(log, now=10 + 15 * MINUTE)
    assert promises(log) == []
    watch(log, now=11 + 15 * MINUTE)
    broken = ("shop", moment(10), moment(10 + 15 * MINUTE), None)
    assert promises(log) == [broken]
    follower = watch(log, now=20 * MINUTE)
    assert promises(log) == [broken] and read_progress(log.tables).breached == {"shop": int(moment(10).timestamp() * 1e6)}
    log.write(Sent(21 * MINUTE, "app"), Sent(22 * MINUTE), Sent(23 * MINUTE))
    follower.clock = lambda: int(moment(24 * MINUTE).timestamp() * 1e6)
    run(follower)
    watch(log, now=25 * MINUTE)
    assert promises(log) == [broken, (*broken[:3], moment(22 * MINUTE))]
    (alert,) = log.tables.read(OPS_ALERTS).to_pylist()
    assert (alert["kind"], alert["source"], alert["sentence"]) == ("freshness", "shop", "Nothing of shop has been received since 2026-03-01T00:00:10Z; within 15m was promised.")


def test_the_last_record_is_known_after_its_window_is_final(log: Log) -> None:
    log.write(Sent(10), Sent(2 * HOUR, "app"))
    watch(log, until=3 * HOUR, now=5 * MINUTE)
    assert promises(log) == []
    watch(log, until=3 * HOUR, now=3 * HOUR)
    assert promises(log)[0][1] == moment(10)


def test_a_source_that_never_sent_anything_breaks_its_promise_from_the_first_epoch_on(log: Log) -> None:
    log.write(Sent(10, "app"), committed=12)
    watch(log, now=10 * MINUTE)
    assert promises(log) == []
    watch(log, now=16 * MINUTE)
    assert promises(log) == [("shop", moment(12), moment(12 + 15 * MINUTE), None)]
