"""Random histories as the Delta tables that the speed layer would have written, epochs existing from the times given, for tests that need a log and no stream."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from millrace.definitions import Definitions
from millrace.keys import TenantKeys, keys_path
from millrace.tables.catalogue import DECISIONS, EVENTS, LEDGER, SPEED_EDGES_TABLE, speed_view
from millrace.tables.delta import TenantTables, conform
from tests.laws.features import time
from tests.laws.histories import SECRET, arrow_events
from tests.laws.oracle import Record, read_log


def write_log(tables: TenantTables, records: Sequence[Record], committed: Sequence[int], definitions: Definitions, *, decisions: Iterable[Mapping[str, Any]] = ()) -> None:
    """Keys, log, ledger and decisions; the speed tables are there and empty, as after a build that took everything in."""
    path = keys_path(tables.root, tables.tenant)
    path.parent.mkdir(parents=True)
    keys = TenantKeys("wk", "rk", "ak", SECRET.hex())
    path.write_text(f'{{"write_key": "{keys.write_key}", "read_key": "{keys.read_key}", "admin_key": "{keys.admin_key}", "token_key": "{keys.token_key}"}}')
    accepted = read_log(records, SECRET).accepted
    events = arrow_events(accepted, [], lambda path, kind: path)
    for name, values in {
        "shard": ["0"] * len(accepted), "topic": ["t.events"] * len(accepted), "message_id": [event.message_id for event in accepted],
        "is_duplicate": [False] * len(accepted), "payload": [event.record.value.decode() for event in accepted],
    }.items():  # fmt: skip
        events = events.append_column(name, pa.array(values))
    rows, ends = [], {0: 0, 1: 0}
    for epoch, at in enumerate(committed, 1):
        for partition in ends:
            size = sum(record.epoch == epoch and record.partition == partition for record in records)
            rows.append(
                {
                    "shard": "0", "epoch": epoch, "topic": "t.events", "partition": partition, "start_offset": ends[partition], "end_offset": ends[partition] + size,
                    "accepted": sum(event.record.epoch == epoch and event.record.partition == partition for event in accepted), "duplicate": 0,
                    "rejected": size - sum(event.record.epoch == epoch and event.record.partition == partition for event in accepted),
                    "definitions_hash": definitions.hash, "committed_at": time(at),
                }
            )  # fmt: skip
            ends[partition] += size
    made = pa.Table.from_pylist([{"reason": "", "decided_by": "", **row} for row in decisions], schema=DECISIONS.schema)
    for table, found in ((EVENTS, conform(events, EVENTS.schema)), (LEDGER, pa.Table.from_pylist(rows, schema=LEDGER.schema)), (DECISIONS, made)):
        tables.create(table)
        tables.add(table, found)
    for table in (SPEED_EDGES_TABLE, *(speed_view(name, view) for name, view in definitions.views.items())):
        tables.create(table)
