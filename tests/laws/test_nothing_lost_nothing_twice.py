"""Law 7: wherever in an epoch the process dies, however often, and whatever of its checkpoint is gone afterwards: every record of the topic is in the log or
among the rejected, once, and counts once.

The writer, the recovery and the tables are the real ones. In the place of Kafka and Spark stands a topic in memory and what Spark keeps of it: the offsets of a
batch before it runs, a commit after it. tests/faults kills whole processes; here histories are random.
"""

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import speed.epoch
from millrace.definitions import Definitions
from millrace.faults import CRASH_POINTS
from millrace.keys import load_or_create_keys
from millrace.tables.catalogue import EVENTS, LEDGER, REJECTED, Table, speed_view
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import read_ledger
from millrace.traits.fold import fold_events
from speed.epoch import EpochWriter, read_offsets
from speed.recovery import begin_generation, speed_tables, starting_offsets
from speed.seen import SeenIndex
from speed.standardizing import standardizer_of
from tests.laws.histories import TRAITS, message
from tests.laws.law import chooser, law
from tests.laws.oracle import Log, Record, read_log
from tests.laws.product import comparable, events_table, merge_rows, python_rows, view_of
from tests.millrace.records import NOW, as_table, sound

VIEW = view_of({name: TRAITS[name] for name in sorted(TRAITS)[:3]})
DEFINITIONS = Definitions(views={"person": VIEW})
BEFORE = {f"before {table.name}" for table in (*speed_tables(DEFINITIONS), LEDGER)}
DEATHS = (None, *(name for name in CRASH_POINTS if name.startswith("speed.")), *sorted(BEFORE))
"""At a crash point, or before a table is written to."""
LOSSES = ("nothing", "nothing", "last commit", "all commits", "seen index", "checkpoint")
BAD = (b"no message", None, sound(type="purchase"), sound(properties=[]))
TENANT, TOPIC = "t", "t.events"
LIVES = st.lists(st.tuples(st.lists(st.binary(min_size=1, max_size=22), max_size=4), st.sampled_from(DEATHS), st.sampled_from(LOSSES)), min_size=1, max_size=5)
"""What each life finds newly sent, where it dies, and what is lost after it."""


class Died(BaseException):
    """The end of a life."""


class MortalTables(TenantTables):
    """Tables that take nothing more once their process is dead: its threads, which here live on, write nothing. ``dies_at``: one of DEATHS."""

    dies_at: str | None = None
    is_dead = False

    def append(self, table: Table, rows: pa.Table, *, app_id: str, epoch: int) -> bool:
        self.pass_by(f"before {table.name}")
        return super().append(table, rows, app_id=app_id, epoch=epoch)

    def pass_by(self, place: str) -> None:
        self.is_dead = self.is_dead or place == self.dies_at
        if self.is_dead:
            raise Died


class Batch:
    """A micro-batch as the writer sees it."""

    def __init__(self, records: list[Record]) -> None:
        self._records = records

    def toArrow(self) -> pa.Table:
        return as_table(self._records)


class Stream:
    """The topic of a tenant, its tables, and the lives of the process that reads the one into the others."""

    def __init__(self, root: Path) -> None:
        self.tables, self.secret = MortalTables(root, TENANT), load_or_create_keys(root, TENANT).token_secret
        self.checkpoint = Path(self.tables.path("checkpoints/stream"))
        self.sent: list[Record] = []

    def send(self, choices: bytes) -> None:
        """A message, one in four bad, one in four sent before."""
        choose, partition = chooser(choices), len(choices) % 2
        value = message(choose, NOW, ids=6)
        if choices[0] % 4 == 0:
            value = BAD[choices[-1] % len(BAD)]
        elif choices[0] % 4 == 1 and self.sent:
            value = self.sent[choices[-1] % len(self.sent)].value
        self.sent.append(Record(value, partition, sum(record.partition == partition for record in self.sent), NOW, "http"))

    def live_until(self, death: str | None) -> None:
        self.tables.dies_at, self.tables.is_dead = death, False
        with pytest.MonkeyPatch.context() as patched, suppress(Died):  # a batch that the ledger has already passes no place to die at
            patched.setattr(speed.epoch, "crash_point", self.tables.pass_by)
            self._live()

    def _live(self) -> None:
        """From the start of the process to the end of one batch, as Spark goes about it: the newest batch again unless it is committed, else the next one."""
        generation, ledger = begin_generation(self.tables, self.checkpoint, DEFINITIONS)
        seen = SeenIndex(self.checkpoint / "seen", map_size=1 << 24)
        if not seen.covers(ledger.head, generation.generation):
            seen.rebuild(self.tables, ledger.head, generation.generation)
        writer = EpochWriter(
            tables=self.tables, definitions=DEFINITIONS, standardizer=standardizer_of(DEFINITIONS, self.secret), generation=generation,
            checkpoint=self.checkpoint, seen=seen, ledger=ledger, many=1,
        )  # fmt: skip
        planned, committed = self._newest("offsets"), self._newest("commits")
        batch = planned if committed < planned else planned + 1
        begins = read_offsets(self.checkpoint, batch - 1) if batch else self._first(starting_offsets(ledger, TOPIC, 2))
        if batch > planned:
            ends = {str(partition): sum(record.partition == partition for record in self.sent) for partition in range(2)}
            self._note("offsets", batch, f"v1\n{{}}\n{json.dumps({TOPIC: ends})}")
        ends = read_offsets(self.checkpoint, batch)
        wanted = [one for one in self.sent if begins.get((TOPIC, one.partition), 0) <= one.offset < ends[TOPIC, one.partition]]
        writer.process(Batch(wanted), batch)
        self._note("commits", batch, "v1\n{}")

    def lose(self, what: str) -> None:
        if what == "checkpoint":
            shutil.rmtree(self.checkpoint)
        elif what == "seen index":
            shutil.rmtree(self.checkpoint / "seen", ignore_errors=True)
        elif what != "nothing":
            newest = self._newest("commits")
            for path in (self.checkpoint / "commits").glob("*"):
                if what == "all commits" or int(path.name) == newest:
                    path.unlink()

    def log(self) -> Log:
        """What the oracle says of the records, each in the epoch whose offsets hold it."""
        records = []
        for row in read_ledger(self.tables).rows.to_pylist():
            inside = (one for one in self.sent if one.partition == row["partition"] and row["start_offset"] <= one.offset < row["end_offset"])
            records += [Record(one.value, one.partition, one.offset, one.received_at, one.source, row["epoch"]) for one in inside]
        return read_log(records, self.secret)

    def _newest(self, folder: str) -> int:
        return max((int(path.name) for path in (self.checkpoint / folder).glob("*")), default=-1)

    def _note(self, folder: str, batch: int, text: str) -> None:
        (self.checkpoint / folder).mkdir(exist_ok=True)
        (self.checkpoint / folder / str(batch)).write_text(text, encoding="utf-8")

    @staticmethod
    def _first(starting: str) -> dict[tuple[str, int], int]:
        return {} if starting == "earliest" else {(TOPIC, int(partition)): max(offset, 0) for partition, offset in json.loads(starting)[TOPIC].items()}


@law(share=0.02)
@given(lives=LIVES)
def test_whatever_dies_and_is_lost_every_record_is_there_once_and_counts_once(lives, tmp_path_factory):
    stream = Stream(tmp_path_factory.mktemp("lives"))
    for sent, death, lost in lives:
        for choices in sent:
            stream.send(choices)
        stream.live_until(death)
        stream.lose(lost)
    stream.live_until(None)
    stream.live_until(None)  # the first may have been the repetition of a batch

    check(stream)


def check(stream: Stream) -> None:
    log, ledger = stream.log(), read_ledger(stream.tables)
    assert ledger.counts() == log.counts
    assert log.counts["received"] == len(stream.sent)
    events = stream.tables.read(EVENTS, columns=["epoch", "partition", "offset", "is_duplicate"]).to_pylist()
    counted = {event.record.position for event in log.counted}
    expected = sorted((*event.record.position, event.record.position not in counted) for event in log.accepted)
    assert sorted((row["epoch"], row["partition"], row["offset"], row["is_duplicate"]) for row in events) == expected
    rejected = stream.tables.read(REJECTED, columns=["epoch", "partition", "offset", "reason", "payload"]).to_pylist()
    assert sorted(tuple(row.values()) for row in rejected) == sorted((*record.position, reason, record.value) for record, reason in log.rejected)
    increments = stream.tables.read(speed_view("person", VIEW))
    epochs = [python_rows(increments.filter(pc.field("epoch") == epoch), VIEW.states) for epoch in range(1, ledger.head + 1)]
    once = python_rows(fold_events(events_table(log.counted, VIEW), VIEW.states), VIEW.states)
    assert comparable(merge_rows(epochs, VIEW.states), VIEW.states) == comparable(once, VIEW.states)
