"""Windows of data health hold each record of the log once: their sums are the counts of the ledger, for any history, and a restart anywhere changes no row."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from millrace.tables.ledger import read_ledger
from serving.data_health.measures import EVERYBODY
from tests.serving.data_health.logged import HOUR, Log, random_epochs, run, watch
from tests.tiers import LAW_EXAMPLES, SEED

HISTORIES = max(8, LAW_EXAMPLES // 160)
LONG_AFTER = 10_000 * HOUR


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the epoch that was the head when a window became final: it depends on when somebody looked."""
    return [{name: value for name, value in row.items() if name != "head"} for row in rows]


def sums(rows: list[dict[str, Any]], *, whole: bool) -> dict[str, int]:
    found: Counter[str] = Counter(accepted=0, rejected=0, duplicate=0)
    for row in rows:
        if row["measure"] == "received" and (row["source"] == EVERYBODY) == whole:
            found.update({name: count for name, count in json.loads(row["details"]).items() if name in found})
    return dict(found)


@pytest.mark.parametrize("number", range(HISTORIES))
def test_windows_add_up_to_the_ledger_and_restarts_change_no_row(number: int, tmp_path: Path) -> None:
    chance = random.Random(f"{SEED}-{number}")
    partitions, hours = chance.choice((1, 2, 3)), chance.choice((3, 30, 60))
    epochs = random_epochs(chance, epochs=chance.randrange(1, 25), partitions=partitions, hours=hours)
    at_once, stopped = Log(tmp_path / "one", partitions=partitions), Log(tmp_path / "two", partitions=partitions)
    follower = None
    for records in epochs:
        at_once.write(*records)
        stopped.write(*records)
        step = chance.randrange(4)
        if step == 1:
            follower = watch(stopped)
        elif step == 2 and follower is not None:
            run(follower)
    watch(at_once, until=LONG_AFTER)
    watch(stopped, until=LONG_AFTER)
    rows, counts = at_once.rows(), read_ledger(at_once.tables).counts()
    counts.pop("received")
    assert sums(rows, whole=True) == sums(rows, whole=False) == counts
    assert plain(stopped.rows()) == plain(rows)
    watch(stopped, until=LONG_AFTER)
    assert plain(stopped.rows()) == plain(rows)
