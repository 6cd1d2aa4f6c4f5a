"""A log written by hand for the watch of data health: epochs with accepted, repeated and rejected records of several sources, and what a broker says of the topic."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from millrace.definitions import Definitions
from millrace.tables.catalogue import EVENTS, HEALTH, LEDGER, REJECTED
from millrace.tables.delta import TenantTables
from millrace.times import MICROS, instant_of
from serving.data_health.following import HealthFollower

START = 1_772_323_200
"""2026-03-01T00:00:00Z, a Sunday, in seconds."""
HOUR = 3_600
TOPIC = "t.events"
DEFINITIONS = Definitions.model_validate(
    {
        "views": {"person": {"key": "node", "traits": {"spend": {"op": "sum", "event": "Order", "value": "properties.revenue"}, "city": {"op": "last", "type": "identify", "value": "traits.city"}}}},
        "sources": {"shop": {"freshness": "15m"}},
    }
)  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """One record. ``at``: seconds after START at which the broker received it; ``late``: seconds since it happened; ``verdict``: accepted, duplicate, or a reason."""

    at: float
    source: str = "shop"
    verdict: str = "accepted"
    partition: int = 0
    late: float = 1.0
    name: str = "Order"
    type: str = "track"
    body: Mapping[str, Any] = field(default_factory=lambda: {"properties": {"revenue": 10}})
    nodes: tuple[str, ...] = ("user_id:a", "email:b")


class Log:
    """Writes what the stream would write. Epochs count up by themselves; a partition has the offsets that its records take."""

    def __init__(self, root: Path, *, partitions: int = 1) -> None:
        self.tables = TenantTables(root, "t")
        self.ends = dict.fromkeys(range(partitions), 0)
        self.epoch = 0
        for table in (EVENTS, REJECTED, LEDGER):
            self.tables.create(table)

    def write(self, *records: Sent, committed: float | None = None) -> None:
        """An epoch of these records, in their order."""
        self.epoch += 1
        before, rows = dict(self.ends), {"events": [], "rejected": []}
        for one in records:
            row = {
                "shard": "0", "epoch": self.epoch, "topic": TOPIC, "partition": one.partition, "offset": self.ends[one.partition], "source": one.source,
                "received_at": moment(one.at),
            }  # fmt: skip
            self.ends[one.partition] += 1
            if one.verdict in ("accepted", "duplicate"):
                more = {"event_time": moment(one.at - one.late), "type": one.type, "name": one.name or None, "payload": json.dumps(one.body), "is_duplicate": one.verdict == "duplicate"}
                rows["events"].append(row | more | {"identifiers": [{"node": node, "hint": ""} for node in one.nodes]})
            else:
                rows["rejected"].append(row | {"reason": one.verdict})
        ledger = [
            {
                "shard": "0", "epoch": self.epoch, "topic": TOPIC, "partition": partition, "start_offset": before[partition], "end_offset": end,
                **{name: sum(one.partition == partition and kind(one) == name for one in records) for name in ("accepted", "duplicate", "rejected")},
                "definitions_hash": "x", "received_until": moment(max(one.at for one in records)) if records else None,
                "committed_at": moment(committed if committed is not None else max([one.at for one in records], default=0) + 1),
            }
            for partition, end in self.ends.items()
        ]  # fmt: skip
        for table, found in ((EVENTS, rows["events"]), (REJECTED, rows["rejected"]), (LEDGER, ledger)):
            self.tables.append(table, pa.Table.from_pylist(found, schema=table.schema), app_id=table.name, epoch=self.epoch)

    def rows(self) -> list[dict[str, Any]]:
        """All of serving/data_health, in one order."""
        found = self.tables.read(HEALTH).to_pylist()
        return sorted(found, key=lambda row: (row["window"], row["source"], row["measure"], row["about"] or ""))


def kind(one: Sent) -> str:
    return one.verdict if one.verdict in ("accepted", "duplicate") else "rejected"


def moment(at: float) -> Any:
    return instant_of(round((START + at) * MICROS))


@dataclass
class Said:
    """A topic of which somebody says where it ends: ``at`` seconds after START, or nothing."""

    log: Log
    at: float | None = None

    def complete(self) -> dict[tuple[str, int], tuple[int, int]]:
        return {} if self.at is None else {(TOPIC, partition): (round((START + self.at) * MICROS), end) for partition, end in self.log.ends.items()}

    def close(self) -> None: ...


def watch(log: Log, *, until: float | None = None, now: float = 0, length: int = HOUR, definitions: Callable[[], Definitions] | Definitions = DEFINITIONS) -> HealthFollower:
    """A watch that has counted all of the log. ``until``: the topic holds nothing else that was received before; ``now``: its clock, seconds after START."""
    newest = (lambda: definitions) if isinstance(definitions, Definitions) else definitions
    follower = HealthFollower(log.tables, newest, Said(log, until), lambda: round((START + now) * MICROS), length)
    run(follower)
    return follower


def run(follower: HealthFollower) -> None:
    while follower.round():
        pass


def random_epochs(chance: random.Random, *, epochs: int, partitions: int, hours: int) -> list[list[Sent]]:
    """Epochs of a few records over so many hours, in every order that a topic allows and some that it does not: partitions apart, clocks that step back."""
    clocks = [chance.random() * HOUR for _ in range(partitions)]
    found = []
    for _ in range(epochs):
        records = []
        for _ in range(chance.randrange(0, 12)):
            partition = chance.randrange(partitions)
            clocks[partition] += chance.choice((0, 1, 60, hours * HOUR / epochs, 2 * hours * HOUR / epochs))
            step_back = chance.choice((0, 0, 0, 0, 0, 90, 4_000))
            verdict = chance.choice(("accepted",) * 6 + ("duplicate", "missing_identifier", "bad_timestamp"))
            records.append(
                Sent(
                    clocks[partition] - step_back, chance.choice(("shop", "app", "http", "Not a name")), verdict, partition, chance.choice((0, 0.5, 3, 7_200, 90_000, -200)),
                    *chance.choice((("Order", "track"), ("View", "track"), ("", "identify"))), body=chance.choice(({}, {"properties": {"revenue": 3.5}}, {"traits": {"city": "Rom"}})),
                )
            )  # fmt: skip
        found.append(records)
    return found
