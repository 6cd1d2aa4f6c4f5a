"""Law 6: which row counts is a function of the prefix of the log. The seen index of the speed layer against brute force, replays and restarts included."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.events.standard import Standardizer
from millrace.tables.catalogue import EVENTS
from millrace.tables.delta import TenantTables
from speed.seen import SeenIndex
from tests.laws.law import law

EPOCHS = st.lists(st.lists(st.integers(0, 9), max_size=8), min_size=1, max_size=8)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
STANDARDIZER = Standardizer((), b"secret")
_examples = count()


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> SeenIndex:
    return SeenIndex(tmp_path_factory.mktemp("seen") / "index", map_size=1 << 30)


def keys(names: list[int], prefix: int = 0) -> pa.Array:
    return pa.array([b"%8d%8d" % (prefix, name) for name in names], pa.binary())


def repeated(epochs: list[list[int]]) -> list[list[bool]]:
    """By brute force: a row is a duplicate when its key stands anywhere before it."""
    seen, found = set(), []
    for names in epochs:
        found.append([])
        for name in names:
            found[-1].append(name in seen)
            seen.add(name)
    return found


@law(share=0.5)
@given(epochs=EPOCHS, replays=st.lists(st.integers(0, 2), max_size=8))
def test_the_first_row_of_a_key_counts_also_when_epochs_run_again(epochs, replays, shared):
    prefix, expected = next(_examples), repeated(epochs)
    for number, names in enumerate(epochs):
        for _ in range(1 + (replays[number] if number < len(replays) else 0)):
            assert shared.mark(keys(names, prefix), number + 1).tolist() == expected[number]


@law(share=0.5)
@given(epochs=EPOCHS)
def test_what_counts_in_a_prefix_counts_whatever_follows(epochs, shared):
    prefix = next(_examples)
    marks = [shared.mark(keys(names, prefix), number + 1).tolist() for number, names in enumerate(epochs)]
    for length in range(len(epochs)):
        assert marks[:length] == repeated(epochs[:length])


def index(tmp_path, name: str = "index") -> SeenIndex:
    return SeenIndex(tmp_path / name, horizon=timedelta(days=7), map_size=1 << 26)


@pytest.mark.parametrize("days", [0.5, 3, 6.9])
def test_a_key_within_the_horizon_is_found_however_often_the_generations_change(tmp_path, days):
    seen, at = index(tmp_path), NOW
    for epoch in range(1, 40):
        marks = seen.mark(keys([epoch, epoch - 1]), epoch)
        assert marks.tolist() == [False, epoch > 1]
        seen.rotate(at)
        at += timedelta(days=days)


def test_a_key_older_than_two_horizons_is_forgotten_and_the_index_stays_bounded(tmp_path):
    seen = index(tmp_path)
    for epoch in range(1, 30):
        assert seen.mark(keys([epoch]), epoch).tolist() == [False]
        seen.rotate(NOW + timedelta(days=epoch))
    assert seen.mark(keys([1, 29, 25]), 30).tolist() == [False, True, True]


@law(share=0.02)
@given(chance=st.randoms(use_true_random=False), gap_days=st.floats(0, 6.9))
def test_in_a_storm_of_half_duplicates_every_message_of_every_source_counts_once(chance, gap_days, tmp_path_factory):
    """Every message comes twice, up to a horizon apart; three sources use the same ids."""
    seen, at = index(tmp_path_factory.mktemp("storm")), NOW
    messages = [(source, str(number)) for source in ("http", "shop", "shop\0") for number in range(chance.randrange(1, 40))]
    first, again = chance.sample(messages, len(messages)), chance.sample(messages, len(messages))
    counted = []
    for epoch, (some, days) in enumerate(((first, gap_days), (again, 0)), start=1):
        marks = seen.mark(dedup_keys(some), epoch)
        counted += [message for message, is_again in zip(some, marks.tolist(), strict=True) if not is_again]
        seen.rotate(at := at + timedelta(days=days))
    assert sorted(counted) == sorted(messages)


def dedup_keys(messages: list[tuple[str, str]]) -> pa.Array:
    """Keys as the speed layer makes them of records."""
    payloads = [json.dumps({"type": "page", "userId": "u", "messageId": message_id}).encode() for _, message_id in messages]
    records = pa.table(
        {
            "partition": pa.array([0] * len(messages), pa.int32()), "offset": pa.array(range(len(messages)), pa.int64()), "source": [source for source, _ in messages],
            "received_at": pa.array([NOW] * len(messages), pa.timestamp("us", tz="UTC")), "payload": pa.array(payloads, pa.binary()),
        }
    )  # fmt: skip
    return STANDARDIZER.standardize(records)["dedup_key"].combine_chunks()


def log_of(tables: TenantTables, epochs: list[list[int]], days: float) -> None:
    tables.create(EVENTS)
    for number, names in enumerate(epochs):
        rows = {"epoch": [number + 1] * len(names), "received_at": [NOW + timedelta(days=days * number)] * len(names)}
        tables.append(EVENTS, pa.table(rows | {"dedup_key": keys(names)}), app_id="test", epoch=number + 1)


@pytest.mark.parametrize("head", [0, 1, 2, 3])
def test_an_index_rebuilt_at_a_head_knows_the_epochs_up_to_it_and_no_others(tmp_path, head):
    tables = TenantTables(tmp_path, "t")
    epochs = [[1, 2], [2, 3], [4]]
    log_of(tables, epochs, days=1)
    seen = index(tmp_path)
    assert seen.rebuild(tables, head, "g") == sum(len(names) for names in epochs[:head])
    assert seen.covers(head, "g")
    assert not seen.covers(head + 1, "g")
    assert not seen.covers(head, "another life")
    known = {name for names in epochs[:head] for name in names}
    assert seen.mark(keys([1, 2, 3, 4, 5]), head + 1).tolist() == [name in known for name in (1, 2, 3, 4, 5)]


def test_an_epoch_that_ran_before_the_rebuild_and_runs_again_after_it_keeps_its_rows(tmp_path):
    tables = TenantTables(tmp_path, "t")
    log_of(tables, [[1], [2, 1]], days=0)
    seen = index(tmp_path)
    seen.rebuild(tables, 1, "g")
    assert seen.mark(keys([2, 1]), 2).tolist() == [False, True]
    seen.rebuild(tables, 2, "g")
    assert seen.mark(keys([2, 1]), 2).tolist() == [False, True]


def test_an_index_rebuilt_from_an_old_log_holds_the_horizon_and_rotates_on(tmp_path):
    tables = TenantTables(tmp_path, "t")
    log_of(tables, [[1], [2], [3]], days=5)
    seen = index(tmp_path)
    assert seen.rebuild(tables, 3, "g") == 2
    assert seen.mark(keys([1, 2, 3]), 4).tolist() == [False, True, True]
    for epoch, day in enumerate(range(12, 40), start=5):
        assert seen.mark(keys([100 + day, 99 + day]), epoch).tolist() == [False, epoch > 5]
        seen.rotate(NOW + timedelta(days=day))


def test_an_index_opened_again_remembers(tmp_path):
    index(tmp_path).mark(keys([1, 2]), 1)
    assert index(tmp_path).mark(keys([2, 3]), 2).tolist() == [True, False]
