"""Rejected records through the topic again: chosen by a condition, repaired, judged, sent, noted. jobs/replay_rejected.py calls it under the lease ``replay``.

What was sent is noted after the broker has acknowledged it. A run that dies in between sends it again, under the same source and message id: the law of
duplicates counts it once (ADR 0024).
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from millrace.definitions import Definitions
from millrace.errors import ConfigurationError
from millrace.events.repairs import Rule, repaired
from millrace.events.standard import Standardizer
from millrace.faults import crash_point
from millrace.sending import EventSender, Outgoing
from millrace.tables.catalogue import REJECTED, REPLAYS
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import read_ledger
from millrace.tracking_plan.records import PlanRules

log = logging.getLogger(__name__)

AT_ONCE = 1_000
"""Records that are sent and noted together: a run that dies sends at most so many again."""
_PLACE = ("topic", "partition", "offset")


@dataclass
class Outcome:
    """What a run did, or would do: records that match, that were replayed before, that are sent, that would be rejected again (by reason)."""

    matching: int = 0
    already_replayed: int = 0
    sent: int = 0
    repaired: int = 0
    still_rejected: Counter[str] = field(default_factory=Counter)

    def counts(self) -> dict[str, Any]:
        return {"matching": self.matching, "already_replayed": self.already_replayed, "sent": self.sent, "repaired": self.repaired, "still_rejected": dict(self.still_rejected)}


@dataclass(frozen=True)
class Replay:
    """What a run works with. ``kafka``: None for a dry run, which sends and notes nothing."""

    tables: TenantTables
    definitions: Definitions
    secret: bytes
    rules: list[Rule]
    kafka: str | None
    run_id: str

    def run(self, where: str) -> Outcome:
        """Errors: ConfigurationError for a condition that is none, BrokerUnavailable when the broker does not take a record; what was sent until then is noted."""
        outcome = Outcome()
        rows = self._chosen(where, outcome)
        standardizer = Standardizer((), self.secret, rules=PlanRules.of(self.definitions), terms=self.definitions.terms)
        with nullcontext() if self.kafka is None else EventSender(self.kafka, self.tables.tenant) as sender:
            for start in range(0, len(rows), AT_ONCE):
                sound = list(self._sound(rows.slice(start, AT_ONCE), standardizer, outcome))
                if sender is not None and sound:
                    self._send(sender, sound)
                outcome.sent += len(sound)
                outcome.repaired += sum(row["is_repaired"] for row in sound)
        return outcome

    def _chosen(self, where: str, outcome: Outcome) -> pa.Table:
        """Rejected rows that the condition picks and no run has replayed, in the order of the log."""
        rows = self.tables.read(REJECTED, where=pc.field("epoch") <= read_ledger(self.tables).head)
        matching = _filtered(rows, where)
        outcome.matching = len(matching)
        known = self.tables.read(REPLAYS, columns=list(_PLACE)).to_pylist()
        replayed = {tuple(row.values()) for row in known}
        places = zip(*(matching[name].to_pylist() for name in _PLACE), strict=True)
        new = pa.array([place not in replayed for place in places], pa.bool_())
        chosen = matching.filter(pc.and_(new, matching["payload"].is_valid()))  # of what was over nothing is left to send
        outcome.already_replayed = pc.sum(pc.invert(new)).as_py() or 0
        return chosen.sort_by([("epoch", "ascending"), ("partition", "ascending"), ("offset", "ascending")])

    def _sound(self, rows: pa.Table, standardizer: Standardizer, outcome: Outcome) -> Iterator[dict[str, Any]]:
        """The rows that would be accepted now, with the bytes to send and their message id."""
        candidates = rows.to_pylist()
        for row in candidates:
            row["value"] = _complete(repaired(row["payload"] or b"", row, self.rules), row)
            row["is_repaired"] = row["value"] != row["payload"]
        now = datetime.now(UTC)
        records = pa.table(
            {
                "partition": rows["partition"], "offset": rows["offset"], "received_at": pa.array([now] * len(rows), pa.timestamp("us", tz="UTC")),
                "source": rows["source"], "payload": pa.array([row["value"] for row in candidates], pa.binary()),
            }
        )  # fmt: skip
        found = standardizer.standardize(records)
        for row, reason, message_id in zip(candidates, found["reason"].to_pylist(), found["message_id"].to_pylist(), strict=True):
            if reason is None:
                yield {**row, "message_id": message_id}
            else:
                outcome.still_rejected[reason] += 1

    def _send(self, sender: EventSender, rows: list[dict[str, Any]]) -> None:
        crash_point("replay.chosen")
        sender.send(Outgoing(row["message_id"], row["value"], row["source"], (("replay_of", json.dumps([row[name] for name in _PLACE]).encode()),)) for row in rows)
        crash_point("replay.sent")
        noted = [{name: row[name] for name in (*_PLACE, "message_id", "is_repaired")} | {"replayed_at": datetime.now(UTC), "run_id": self.run_id} for row in rows]
        self.tables.add(REPLAYS, pa.Table.from_pylist(noted, schema=REPLAYS.schema))
        crash_point("replay.noted")
        log.info("replayed records=%d", len(rows))


def replay_id(row: dict[str, Any]) -> str:
    """The message id of a record that has none of its own: the same in every run."""
    return f"replay-{row['topic']}-{row['partition']}-{row['offset']}"


def _complete(value: bytes, row: dict[str, Any]) -> bytes:
    """The message with an id and a time of its own where it lacks them: a replay must neither count anew nor move an event to today."""
    try:
        message = msgspec.json.decode(value, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return value
    missing: dict[str, Any] = {}
    if message.get("messageId") in (None, ""):
        missing["messageId"] = replay_id(row)
    if message.get("timestamp") is None:
        missing["timestamp"] = row["received_at"].isoformat()
    return msgspec.json.encode(message | missing) if missing else value


def _filtered(rows: pa.Table, where: str) -> pa.Table:
    """The condition is an expression of SQL over the columns of log/rejected. DuckDB reads it; it can reach neither files nor the network."""
    with duckdb.connect(config={"enable_external_access": "false"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            return connection.from_arrow(rows).filter(where).to_arrow_table().cast(rows.schema)
        except duckdb.Error as error:
            raise ConfigurationError(
                f"--where {where}: {str(error).splitlines()[0]}; write a condition over the columns of log/rejected, such as \"source = 'shop' AND reason = 'plan_violation'\""
            ) from None
