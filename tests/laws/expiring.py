"""A tenant whose epochs the speed layer's own writer has written from records in hand: what the laws of expiry need of a stream, without Kafka and Spark."""

import json
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from batch.build import build
from batch.profiles import publish_profiles
from millrace.definitions import Definitions
from millrace.expiry_of_speed import expire_speed
from millrace.keys import keys_path
from millrace.settings import BatchSettings
from millrace.tables.catalogue import LEDGER
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import Ledger
from millrace.tables.manifest import Manifest
from millrace.times import instant_of
from speed.epoch import EpochWriter
from speed.housekeeping import Housekeeper
from speed.recovery import Generation, speed_tables
from speed.seen import SeenIndex
from speed.standardizing import standardizer_of
from tests.laws.histories import SECRET
from tests.laws.oracle import Record

TIME = pa.timestamp("us", tz="UTC")
SETTINGS = BatchSettings(keep_files=0.0)
MARKER = "only-the-partner-knows"


class Tenant:
    """Epochs are those of the records; partitions 0 and 1."""

    def __init__(self, root: Path, definitions: Definitions) -> None:
        self.tables, self.definitions = TenantTables(root, "t"), definitions
        path = keys_path(root, "t")
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"write_key": "wk", "read_key": "rk", "admin_key": "ak", "token_key": SECRET.hex()}))
        for table in (*speed_tables(definitions), LEDGER):
            self.tables.create(table)
        self._writer = EpochWriter(
            tables=self.tables, definitions=definitions, standardizer=standardizer_of(definitions, SECRET), generation=Generation("g", 0, definitions.hash),
            checkpoint=root / "checkpoint", seen=SeenIndex(root / "seen", map_size=1 << 28), ledger=Ledger(LEDGER.schema.empty_table()), many=10**9,
        )  # fmt: skip
        self.housekeeper = Housekeeper(self.tables, definitions, keep_files_s=0.0, expire_every_s=math.inf)
        self._ends = {0: 0, 1: 0}

    def write(self, records: list[Record]) -> None:
        """The epochs of the records, one after the other."""
        for epoch in sorted({record.epoch for record in records}):
            some = sorted((record for record in records if record.epoch == epoch), key=lambda record: record.position)
            rows = self._writer.standardizer.standardize(_table(some))
            ranges = {}
            for partition, end in self._ends.items():
                self._ends[partition] = end + sum(record.partition == partition for record in some)
                ranges["t.events", partition] = (end, self._ends[partition])
            self._writer._write(epoch, rows, ranges)

    def build(self, *, full: bool = False) -> Manifest:
        return build(None, self.tables, self.definitions, full=full, settings=SETTINGS)  # type: ignore[arg-type]  # it all fits the driver

    def expire(self, now: int) -> pa.Table:
        return expire_speed(self.tables, self.definitions, now=instant_of(now), run_id="r", keep_files_s=0.0)

    def publish(self, as_of: datetime) -> None:
        publish_profiles(lambda: None, self.tables, as_of=as_of, settings=SETTINGS)  # type: ignore[arg-type, return-value]


def _table(records: list[Record]) -> pa.Table:
    return pa.table(
        {
            "partition": pa.array([record.partition for record in records], pa.int32()), "offset": pa.array([record.offset for record in records], pa.int64()),
            "received_at": pa.array([record.received_at for record in records], pa.int64()).cast(TIME),
            "source": pa.array([record.source or "kafka" for record in records]), "payload": pa.array([record.value for record in records], pa.binary()),
        }
    )  # fmt: skip


def files_with(folder: Path, text: str) -> list[str]:
    """Files below a folder that hold a text, in clear or in the values of a Parquet file."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and any(text in shown for shown in _shown(path)))


def _shown(path: Path) -> Iterator[str]:
    yield path.read_bytes().decode("latin-1")
    if path.suffix == ".parquet":
        yield str(pq.read_table(path).to_pylist())


def comparable(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows in one order, without the bytes of sketches, which may depend on the order of merges."""
    keys = [name for name in ("key", "hop", "hop_start", "a", "b", "node") if name in rows.column_names]
    exact = [name for name in rows.column_names if not name.startswith("distinct")]
    return rows.select(exact).sort_by([(key, "ascending") for key in keys]).to_pylist()
