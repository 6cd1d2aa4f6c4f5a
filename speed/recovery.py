"""Where a stream starts: fits the checkpoint to the ledger before the first epoch, so that a crash, a lost checkpoint or new definitions neither lose nor double a row.

The ledger is the truth. Beside Spark's checkpoint lies ``millrace.json``: the generation (part of the app id of every commit) and the epoch that precedes batch 0.
"""

import json
import logging
import os
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from millrace.definitions import Definitions
from millrace.errors import CoverageError
from millrace.tables.catalogue import EVENTS, LEDGER, REJECTED, SPEED_EDGES_TABLE, Table, speed_view
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import Ledger, Under, ledger_rows, read_ledger
from millrace.tracking_plan.kept import record_plan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Generation:
    """One life of a checkpoint under one set of definitions. Batch ``n`` of the query is epoch ``epoch_base + n + 1``."""

    generation: str
    epoch_base: int
    definitions_hash: str
    announces: int | None = None
    """Epoch without records that tells the definitions to readers before the first event under them; None when there was nothing before."""
    plan_hash: str | None = None
    """Tracking plan of its verdicts. Another plan may put a record into another table: an epoch half written under the old one must go before it runs again."""

    @property
    def under(self) -> Under:
        return Under(self.definitions_hash, self.plan_hash)

    def app_id(self, table: Table) -> str:
        return f"{self.generation}/{table.name}"


def speed_tables(definitions: Definitions) -> list[Table]:
    """Tables of the speed job in the order an epoch writes them; the ledger, which makes the epoch exist, is not among them."""
    return [EVENTS, REJECTED, *(speed_view(name, view) for name, view in definitions.views.items()), SPEED_EDGES_TABLE]


def begin_generation(tables: TenantTables, checkpoint: Path, definitions: Definitions) -> tuple[Generation, Ledger]:
    """The generation to run under, with tables made and orphans of a lost or superseded epoch removed. CoverageError when ledger and checkpoint cannot be fitted."""
    for table in (*speed_tables(definitions), LEDGER):
        tables.create(table)
    ledger = read_ledger(tables)
    record_plan(tables, definitions)
    known = _read(checkpoint)
    if known is None and (checkpoint / "offsets").exists():
        raise CoverageError(f"{checkpoint} has Spark's offsets but no millrace.json; move the whole directory away, the stream then continues from the ledger")
    if known is None or known.under != (definitions.hash, definitions.plan_hash):
        known = _renew(tables, checkpoint, definitions, ledger=ledger, known=known)
    if known.announces is not None and ledger.head < known.announces:
        _announce(tables, known, ledger)
        ledger = read_ledger(tables)
    _fit_checkpoint(checkpoint, last_batch=ledger.head - known.epoch_base - 1)
    return known, ledger


def starting_offsets(ledger: Ledger, topic: str, partitions: int) -> str:
    """Where a query without offsets of its own begins: at the ledger's ends; partitions the ledger has never seen from their beginning (-2)."""
    ends = ledger.offsets().get(topic, {})
    if not ends:
        return "earliest"
    return json.dumps({topic: {str(partition): ends.get(partition, -2) for partition in range(partitions)}})


def _fit_checkpoint(checkpoint: Path, *, last_batch: int) -> None:
    """Makes Spark run again what the ledger does not have: batches after ``last_batch`` lose their commit files, and those after the next one their offsets."""
    for folder, newest in (("commits", last_batch), ("offsets", last_batch + 1)):
        for path in (checkpoint / folder).glob("*"):
            if path.name.isdecimal() and int(path.name) > newest:
                path.unlink()
                path.with_name(f".{path.name}.crc").unlink(missing_ok=True)
                log.info("checkpoint fitted to the ledger removed=%s/%s", folder, path.name)


def _renew(tables: TenantTables, checkpoint: Path, definitions: Definitions, *, ledger: Ledger, known: Generation | None) -> Generation:
    base = ledger.head if known is None else known.epoch_base
    last = set(ledger.rows.filter(pa.compute.field("epoch") == ledger.head)["definitions_hash"].to_pylist())
    announces = ledger.head + 1 if last and last != {definitions.hash} else None
    for table in speed_tables(definitions):
        removed = DeltaTable(tables.path(table)).delete(f"epoch > {ledger.head}")
        if removed.get("num_deleted_rows"):
            log.warning("orphans removed table=%s rows=%s head=%d", table.name, removed["num_deleted_rows"], ledger.head)
    renewed = Generation(uuid.uuid4().hex, base + (1 if announces else 0), definitions.hash, announces, definitions.plan_hash)
    _write(checkpoint, renewed)
    log.info("generation begun definitions=%s epoch_base=%d lost_checkpoint=%s", definitions.hash, renewed.epoch_base, known is None and ledger.head > 0)
    return renewed


def _announce(tables: TenantTables, generation: Generation, ledger: Ledger) -> None:
    ranges = {(topic, partition): (end, end) for topic, ends in ledger.offsets().items() for partition, end in ends.items()}
    epoch = generation.announces or 0
    tables.append(LEDGER, ledger_rows(epoch, ranges, under=generation.under), app_id=generation.app_id(LEDGER), epoch=epoch)


def _read(checkpoint: Path) -> Generation | None:
    try:
        return Generation(**json.loads((checkpoint / "millrace.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise CoverageError(
            f"{checkpoint}/millrace.json is not readable ({error}); move the whole directory away, the stream then continues from the ledger"
        ) from None


def _write(checkpoint: Path, generation: Generation) -> None:
    checkpoint.mkdir(parents=True, exist_ok=True)
    draft = checkpoint / ".millrace.json.new"
    with open(draft, "w", encoding="utf-8") as file:
        json.dump(asdict(generation), file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, checkpoint / "millrace.json")
