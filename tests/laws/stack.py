"""A tenant on the real stack for the laws: messages into its topic, runs of the speed layer, damage, builds; and what the oracle says of all of it."""

import random
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from batch.build import build
from millrace.definitions import Definitions
from millrace.keys import load_or_create_keys
from millrace.settings import ApiSettings
from millrace.tables.catalogue import BATCH_EDGES, BATCH_NODES, BATCH_REFUSED, EVENTS, REJECTED, batch_view
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import Ledger, read_ledger
from millrace.tables.manifest import Manifest, latest_manifest
from millrace.topics import ensure_topic
from serving.store.answers import encode_json
from serving.store.keyed import row_of
from serving.store.replay import replay
from serving.store.store import Store
from speed.housekeeping import Housekeeper
from speed.stream import StreamSettings, start_stream
from tests.laws.histories import DAY, HOUR, MINUTE, SECOND, TRAITS, message
from tests.laws.oracle import Log, Record, Traits, answers, persons_of, read_log, rows_of, rules_of
from tests.laws.product import comparable, declared, keyed_view_of, python_rows, view_of
from tests.millrace.records import MALFORMED, WRONG_MEANING, damage, sound

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ITEM = "item"
KEYS = [
    ("UTC", {"id": "properties.product.id"}), ("America/St_Johns", {"day": "event_date", "source": "source"}), ("Asia/Kathmandu", {"name": "name", "id": "properties.product.id"}),
    ("UTC", {"id": "properties.lines[].id"}),
]  # fmt: skip
"""Time zone and key of the view besides that of persons."""
BAD = [value for value in MALFORMED if len(value) < 2_000] + [sound(**changed) for changed in WRONG_MEANING]
GROUPS = [sorted(TRAITS)[start::3] for start in range(3)]
"""Three sets of traits, all of them together: Spark compiles a query for each set, which costs more than running it on a few messages."""
WAIT_S = 60


class StackTenant:
    """One tenant with a root, a topic and a running store of its own; the choices come from a seeded ``chance``."""

    def __init__(self, spark: "SparkSession", bootstrap: str, root: Path, *, name: str, chance: random.Random, producer: KafkaProducer) -> None:
        self.spark, self.bootstrap, self.chance, self.producer = spark, bootstrap, chance, producer
        self.secret = load_or_create_keys(root, name).token_secret
        self.rules = rules_of(self.secret)
        self.tables = TenantTables(root, name)
        self.checkpoint = Path(self.tables.path("checkpoints/stream"))
        self.topic = ensure_topic(bootstrap, name)
        self.traits: Traits = {name: TRAITS[name] for name in chance.choice(GROUPS)}
        self.zone, self.key = chance.choice(KEYS)
        self.definitions = self.declared()
        self.sent: list[Record] = []
        self.partitions = 2
        self.steps: list[str] = []
        self.store = Store(root, name, self.definitions, secret=self.secret, settings=ApiSettings(poll=0.005)).start()

    def declared(self) -> Definitions:
        """The traits, of persons and of what the messages say at the paths of a key."""
        return Definitions(views={"person": view_of(self.traits), ITEM: keyed_view_of(self.traits, self.key, self.zone)})

    def views_of_file(self) -> dict[str, Any]:
        """The same as a file would declare it."""
        return {"person": declared(self.traits), ITEM: declared(self.traits, self.key, self.zone)}

    def close(self) -> None:
        self.store.close()

    def send(self, count: int) -> None:
        """Messages around now into all partitions: one in six bad, one in four sent before, others with the id of an earlier one."""
        self.steps.append(f"send {count}")
        now = time.time_ns() // 1_000
        pending = []
        for _ in range(count):
            value = self.chance.choice(BAD) if self.chance.randrange(8) == 0 else message(self.chance.randrange, now, ids=25)
            if self.chance.randrange(16) == 0:
                value = damage(value, self.chance)
            value = None if self.chance.randrange(40) == 0 else value
            partition, source = self.chance.randrange(self.partitions), self.chance.choice((None, None, b"http", b"http", b"shop", b"", b"\xff shop"))
            if self.sent and self.chance.randrange(4) == 0:
                value, source = self.sent_before()
            headers = None if source is None else [("other", b"x"), ("source", source), ("source", b"not me")]
            pending.append((value, source, self.producer.send(self.topic, key=b"any", value=value, partition=partition, headers=headers)))
        for value, source, future in pending:
            place = future.get(30)
            self.sent.append(Record(value, place.partition, place.offset, place.timestamp * 1_000, None if source is None else source.decode("utf-8", "replace")))

    def sent_before(self) -> tuple[bytes | None, bytes | None]:
        earlier = self.chance.choice(self.sent)
        return earlier.value, None if earlier.source is None else earlier.source.encode()

    def send_again(self) -> None:
        """Everything once more, as a client does that got no answer."""
        self.steps.append("send again")
        everything = [(record, [] if record.source is None else [("source", record.source.encode())]) for record in self.sent]
        futures = [self.producer.send(self.topic, key=b"any", value=record.value, partition=0, headers=headers) for record, headers in everything]
        for (record, _), future in zip(everything, futures, strict=True):
            place = future.get(30)
            self.sent.append(Record(record.value, place.partition, place.offset, place.timestamp * 1_000, record.source))

    def run_speed(self, max_records: int) -> None:
        """One run of the query until it has read the topic."""
        self.steps.append(f"speed {max_records}")
        query = start_stream(
            self.spark, self.tables, self.definitions, kafka=self.bootstrap, settings=StreamSettings(available_now=True, max_records=max_records)
        )
        query.awaitTermination()

    def lose(self, what: str) -> None:
        """What a crash, a disk or a person may take away between two runs."""
        self.steps.append(f"lose {what}")
        if what == "checkpoint":
            shutil.rmtree(self.checkpoint, ignore_errors=True)
        elif what == "seen index":
            shutil.rmtree(self.checkpoint / "seen", ignore_errors=True)
        elif commits := sorted((self.checkpoint / "commits").glob("[0-9]*"), key=lambda path: int(path.name)):
            for path in commits[-1:] if what == "last commit" else commits:
                path.unlink()
                path.with_name(f".{path.name}.crc").unlink(missing_ok=True)

    def add_partition(self) -> None:
        """The topic grows; the new partition begins at its offset 0."""
        self.steps.append("add partition")
        self.partitions += 1
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
        admin.create_partitions({self.topic: self.partitions})
        admin.close()
        until = time.monotonic() + WAIT_S
        while len(self.producer.partitions_for(self.topic)) < self.partitions:
            assert time.monotonic() < until, "the producer does not learn of the new partition"
            self.producer.close()
            self.producer = KafkaProducer(bootstrap_servers=self.bootstrap, acks="all", linger_ms=0)

    def redefine(self, group: list[str]) -> None:
        """Other traits from now on, as after a new start of all jobs."""
        self.steps.append("redefine")
        self.traits = {name: TRAITS[name] for name in group}
        self.definitions = self.declared()

    def tidy(self) -> None:
        """A round of housekeeping: trims what no kept version needs, folds files together."""
        self.steps.append("tidy")
        Housekeeper(self.tables, self.definitions, keep_versions=self.chance.choice((1, 5)), max_files=1).run()

    def build(self, *, full: bool = False) -> Manifest:
        self.steps.append("build full" if full else "build")
        return build(self.spark, self.tables, self.definitions, full=full)

    def log(self) -> tuple[Log, Ledger]:
        """The oracle's verdict on what the ledger covers; each record in the epoch whose offsets hold it."""
        ledger = read_ledger(self.tables)
        records = []
        for row in ledger.rows.to_pylist():
            inside = [one for one in self.sent if one.partition == row["partition"] and row["start_offset"] <= one.offset < row["end_offset"]]
            records += [Record(one.value, one.partition, one.offset, one.received_at, one.source, row["epoch"]) for one in inside]
        return read_log(records, self.secret), ledger

    def everything_is_read(self) -> None:
        """Law 7 after a run that has read the topic: the ledger ends where the topic ends."""
        ends = Counter(record.partition for record in self.sent)
        found = read_ledger(self.tables).offsets().get(self.topic, {})
        assert {partition: end for partition, end in found.items() if end} == dict(ends), self.steps

    def check_log(self) -> tuple[Log, Ledger]:
        """Law 7 and 6: every record once, in the right table, with the right reason; duplicates marked; counts that add up."""
        log, ledger = self.log()
        assert ledger.counts() == log.counts, self.steps
        known = pc.field("epoch") <= ledger.head
        events = self.tables.read(EVENTS, columns=["epoch", "topic", "partition", "offset", "is_duplicate"], where=known).to_pylist()
        counted = {event.record.position for event in log.counted}
        expected = sorted((*event.record.position, event.record.position not in counted) for event in log.accepted)
        assert sorted((row["epoch"], row["partition"], row["offset"], row["is_duplicate"]) for row in events) == expected, self.steps
        rejected = self.tables.read(REJECTED, columns=["epoch", "partition", "offset", "reason", "payload"], where=known).to_pylist()
        bad = sorted((*record.position, reason, record.value) for record, reason in log.rejected)
        assert sorted((row["epoch"], row["partition"], row["offset"], row["reason"], row["payload"]) for row in rejected) == bad, self.steps
        return log, ledger

    def served(self, log: Log, as_of: int) -> dict[str, tuple[frozenset[str], dict[str, Any]]]:
        """What the store says of everybody: members by the oracle, asked node by node; values."""
        found: dict[str, tuple[frozenset[str], dict[str, Any]]] = {}
        for node in sorted({node for event in log.counted for node in event.nodes}):
            (pinned,) = self.store.pin([node])
            assert pinned is not None, (node, self.steps)
            profile = self.store.profile(node, as_of=_time(as_of))
            assert profile is not None and pinned.person.id == profile.id and profile.receipt.complete, (node, self.steps)
            members = frozenset(member.node for member in pinned.person.members)
            assert len(profile.identifiers) == len(members)
            values = {name: answer.value for name, answer in profile.traits.items()}
            assert found.setdefault(profile.id, (members, values)) == (members, values), (node, self.steps)
        return found

    def check_answers(self, as_of: int) -> dict[str, tuple[frozenset[str], dict[str, Any]]]:
        """Law 1: every profile of the store at the head is what the oracle says of the log up to there."""
        log, ledger = self.check_log()
        self.wait_for(ledger.head)
        found = self.served(log, as_of)
        expected = answers(log.counted, self.traits, as_of, self.rules)
        assert found == {person: (members, expected[person]) for person, members in persons_of(log.counted, self.rules).items()}, self.steps
        self.check_rows(log, as_of)
        return found

    def check_rows(self, log: Log, as_of: int) -> None:
        """The same of the other view: in pages every key there is and no other, one by one the same, and a receipt from which it is computed again."""
        expected = rows_of(log.counted, self.key, self.traits_in(self.zone), as_of, self.zone)
        if ITEM not in self.store.keyed_views():
            assert self.store.filling_back() is not None, self.steps
            return
        page, pages = self.store.page_of_keys(ITEM, after="", limit=3), []
        while page:
            pages += page
            page = self.store.page_of_keys(ITEM, after=page[-1].key, limit=3)
        assert [pinned.key for pinned in pages] == sorted({pinned.key for pinned in pages}), self.steps
        rows = [row_of(pinned, at=as_of, now=self.store.clock(), sealer=self.store.sealer) for pinned in pages]
        found = {tuple(row.key[name] for name in self.key): {name: answer.value for name, answer in row.traits.items()} for row in rows}
        assert found == expected, self.steps
        if rows:
            row = self.chance.choice(rows)
            (alone,) = self.store.pin_keys(ITEM, [keyed_view_of(self.traits, self.key, self.zone).keyed.text(row.key)])
            assert alone is not None and row.receipt.complete
            assert replay(self.tables, row.receipt.id, definitions=self.definitions, sealer=self.store.sealer, secret=self.secret, now=self.store.clock()) == encode_json(row), self.steps

    def traits_in(self, zone: str) -> Traits:
        return {name: {**trait, "time_zone": zone} for name, trait in self.traits.items()}

    def wait_for(self, head: int) -> None:
        """Until the store serves this head under the newest manifest."""
        newest = latest_manifest(self.tables)
        number, until = newest.manifest_id if newest else None, time.monotonic() + WAIT_S
        while (self.store.status().head, self.store.status().manifest_id) != (head, number):
            assert time.monotonic() < until, (self.store.status(), head, number, self.steps)
            time.sleep(0.005)

    def contents(self, manifest: Manifest) -> dict[str, Any]:
        """Rows of a batch version in a form that can be compared: sketches by their estimate, everything else exactly."""
        views = {batch_view(name, view): view for name, view in self.definitions.views.items()}
        rows = {one: self.tables.read(one, version=manifest.tables[one.name]) for one in (BATCH_EDGES, BATCH_NODES, BATCH_REFUSED, *views)}
        exact = {one.name: sorted(map(repr, _plain(found).to_pylist())) for one, found in rows.items() if one not in views}
        return exact | {table.name: comparable(python_rows(rows[table], view.states), view.states) for table, view in views.items()}

    def some_time(self) -> int:
        """A time to ask for: now, beside a tile's edge, some days back, next week."""
        now = time.time_ns() // 1_000
        return self.chance.choice((now, now // HOUR * HOUR, now // DAY * DAY + 1, now - 3 * DAY, now + 7 * DAY, now + 5 * MINUTE, now - now % SECOND))


def _plain(rows: pa.Table) -> pa.Table:
    return rows.select(sorted(rows.column_names))


def _time(micros: int) -> Any:
    from datetime import UTC, datetime, timedelta

    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
