"""What is over is taken off the disk and nothing else changes: same answers, a full build equals an incremental one, the log still adds up."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from millrace.definitions import Definitions
from millrace.errors import NothingToDo
from millrace.settings import ApiSettings
from millrace.tables.catalogue import EVENTS, EXPIRED_ROWS, REJECTED
from millrace.tables.ledger import read_ledger
from millrace.times import instant_of
from serving.store.answers import encode_json
from serving.store.base_building import build_base
from serving.store.base_folders import BaseFolders
from serving.store.replay import ReceiptExpired, replay
from serving.store.store import Store
from tests.laws.expiring import MARKER, Tenant, comparable, files_with
from tests.laws.histories import DAY, HOUR, SECRET, START, Record, history
from tests.laws.law import seeded
from tests.laws.oracle import Event, answers, node_of, persons_of, read_log, rules_of
from tests.laws.oracle_parties import Sources, term_of
from tests.laws.oracle_values import time_text
from tests.laws.parties import some_parties

PEOPLE = rules_of(SECRET)
SEEDS = range(6)
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def bases_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseFolders, "_run_child", lambda folders, draft, manifest: build_base(folders._tables, manifest, draft))


def marked(seed: int) -> tuple[list[Record], Sources, dict[str, Any], Definitions]:
    """A history with a partner's events among the others; each says something nobody else does."""
    choose = seeded(seed)
    sources, traits, found = some_parties(choose)
    source = next(name for name in sources if term_of(name, sources))
    traits |= {
        "heard": {"op": "last", "value": "properties.heard", "sources": [source]}, "all_heard": {"op": "unique_list", "value": "properties.heard", "sources": [source], "window": "today"},
        "views": {"event": "Product Viewed", "op": "count"},
    }  # fmt: skip
    shown = json.loads(found.to_json())
    plain = {name: {key: value for key, value in trait.items() if key != "time_zone"} for name, trait in traits.items()}
    definitions = Definitions.model_validate({"views": {"person": shown["views"]["person"] | {"traits": plain}}, "sources": sources})
    zone = definitions.views["person"].time_zone
    records = history(choose, 40, 6)
    for n in range(14):
        epoch, came = 1 + choose(6), START + DAY + choose(40) * HOUR + choose(HOUR)
        happened = came - choose(2 * DAY)
        text = {"type": "track", "event": "Product Viewed", "messageId": f"x{n % 12}", "userId": ("u1", "u2", "u3")[n % 3], "timestamp": time_text(happened)}
        records.append(Record(json.dumps(text | {"properties": {"heard": f"{MARKER}-{n}-"}}).encode(), n % 2, 0, came, None if source == "kafka" else source, epoch))
    late = {"type": "track", "event": "Product Viewed", "messageId": "late", "userId": "u1", "timestamp": "2001-01-01", "properties": {"heard": f"{MARKER}-late"}}
    records.append(Record(json.dumps(late).encode(), 0, 0, START, None if source == "kafka" else source, 2))
    ends, placed = [0, 0], []
    for record in sorted(records, key=lambda record: record.epoch):
        placed.append(replace(record, offset=ends[record.partition]))
        ends[record.partition] += 1
    return placed, sources, {name: {"time_zone": zone, **trait} for name, trait in traits.items()}, definitions


def served(tenant: Tenant, nodes: list[str], as_of: int, now: int) -> dict[str, dict[str, Any]]:
    """What the API's store says of the person of each node."""
    store = Store(tenant.tables.root, "t", tenant.definitions, secret=SECRET, clock=lambda: now, settings=ApiSettings(poll=0.005)).start()
    try:
        assert store.wait_ready(PATIENCE_S), store.status()
        assert store.status().complete, store.status()
        return {node: {name: answer.value for name, answer in store.profile(node, instant_of(as_of)).traits.items()} for node in nodes}
    finally:
        store.close()


def check_answers(tenant: Tenant, counted: list[Event], traits: dict[str, Any], sources: Sources, now: int) -> None:
    people = persons_of(counted, PEOPLE, sources)
    by_node = {node: person for person, members in people.items() for node in members}
    for as_of in (now, now - DAY):
        expected = answers(counted, traits, as_of, PEOPLE, sources, now)
        assert served(tenant, sorted(by_node), as_of, now) == {node: expected[person] for node, person in by_node.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_over_leaves_the_disk_and_nothing_else_changes(tmp_path: Path, seed: int) -> None:
    records, sources, traits, definitions = marked(seed)
    log, choose = read_log(records, SECRET, sources), seeded(seed)
    tenant = Tenant(tmp_path, definitions)
    cut = 1 + choose(4)
    tenant.write([record for record in records if record.epoch <= cut])
    tenant.build()
    tenant.write([record for record in records if record.epoch > cut])
    assert files_with(tmp_path / "t", MARKER)
    with_term = [event for event in log.accepted if term_of(event.source, sources)]
    ends = sorted(event.event_time + term_of(event.source, sources) + choose(3) - 1 for event in with_term[:: max(1, len(with_term) // 2)])
    nows = [*ends[-3:], START + 99 * DAY]
    emptied: set[tuple[int, int, int]] = set()
    for now in nows:
        recorded = tenant.expire(now)
        assert len(tenant.expire(now)) == 0, "a second expiry finds nothing"
        emptied |= {event.record.position for event in with_term if event.event_time + term_of(event.source, sources) <= now}
        emptied |= {record.position for record, _ in log.rejected if (term := term_of(record.source or "kafka", sources)) and record.received_at + term <= now}
        check_log(tenant, emptied, log.counts)
        check_answers(tenant, log.counted, traits, sources, now)
        if len(recorded) or now == nows[0]:
            incremental = tenant.build()
            with pytest.raises(NothingToDo):
                tenant.build()
            full = tenant.build(full=True)
            assert (incremental.kind, full.kind) == ("incremental", "full")
            for name in ("batch/person", "batch/edges", "batch/nodes"):
                assert comparable(tenant.tables.read(name, version=full.tables[name])) == comparable(tenant.tables.read(name, version=incremental.tables[name])), name
        tenant.publish(instant_of(now))
        check_answers(tenant, log.counted, traits, sources, now)
        tenant.housekeeper.run()
        tenant.tables.open("serving/profiles").vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
        assert files_with(tmp_path / "t", f"{MARKER}-late") == [], "what was over when it came is never kept"
        for event in with_term:
            if event.event_time + term_of(event.source, sources) <= now and MARKER in (heard := str(event.message.get("properties", {}).get("heard"))):
                assert files_with(tmp_path / "t", heard) == []


def check_log(tenant: Tenant, emptied: set[tuple[int, int, int]], counts: dict[str, int]) -> None:
    """Every record has its place still; those that are over say nothing; ops/expired has each once."""
    ledger = read_ledger(tenant.tables)
    assert ledger.counts() == counts
    events, rejected = tenant.tables.read(EVENTS), tenant.tables.read(REJECTED)
    assert (len(events), len(rejected)) == (counts["accepted"] + counts["duplicate"], counts["rejected"])
    silent = [row for row in (*events.to_pylist(), *rejected.to_pylist()) if row["message_id"] is None and row["payload"] is None and row.get("node") is None and row.get("digest") is None]
    assert {(row["epoch"], row["partition"], row["offset"]) for row in silent} == emptied
    noted = tenant.tables.read(EXPIRED_ROWS)
    assert sum(noted["rows"].to_pylist()) == len(emptied)


def test_without_terms_an_expiry_does_nothing(tmp_path: Path) -> None:
    tenant = Tenant(tmp_path, Definitions.model_validate({"views": {"person": {"key": "node", "traits": {"orders": {"op": "count"}}}}}))
    tenant.write(history(seeded(1), 10, 2))
    before = tenant.tables.open(EVENTS).version()
    assert len(tenant.expire(START + 999 * DAY)) == 0
    assert tenant.tables.open(EVENTS).version() == before


def test_a_receipt_holds_until_the_first_term_of_its_answer_ends(tmp_path: Path) -> None:
    definitions = Definitions.model_validate({
        "views": {"person": {"key": "node", "traits": {"views": {"op": "count"}, "heard": {"op": "last", "value": "properties.heard", "party": "third"}}}},
        "sources": {"dmp": {"party": "third", "retention": "1d"}},
    })  # fmt: skip
    tenant = Tenant(tmp_path, definitions)
    said = {"type": "track", "event": "Seen", "userId": "u1", "properties": {"heard": MARKER}}
    tenant.write([Record(json.dumps(said | {"messageId": source}).encode(), 0, n, START + HOUR + 1, source, 1) for n, source in enumerate(("http", "dmp"))])
    tenant.build()
    clock = [START + 2 * HOUR]
    store = Store(tenant.tables.root, "t", definitions, secret=SECRET, clock=lambda: clock[0], settings=ApiSettings(poll=0.005)).start()
    try:
        assert store.wait_ready(PATIENCE_S)
        node = node_of("user_id", "u1", SECRET)
        given, earlier = store.profile(node), store.profile(node, instant_of(START + HOUR + 1))
        end = START + HOUR + DAY
        assert (given.traits["heard"].value, store.sealer.open(given.receipt.id).until) == (MARKER, end)
        for answer in (given, earlier):
            again = partial(replay, tenant.tables, answer.receipt.id, definitions=definitions, sealer=store.sealer, secret=SECRET)
            assert again(now=end - 1) == encode_json(answer)
            with pytest.raises(ReceiptExpired, match="stood on data of a source with a term, which was over at 2026-03-02T01:00:00Z"):
                again(now=end)
        clock[0] = end
        over, as_then = store.profile(node), store.profile(node, instant_of(START + 2 * HOUR))
        assert over.traits["heard"].value is as_then.traits["heard"].value is None
        assert (over.traits["views"].value, store.sealer.open(over.receipt.id).until) == (1, 0)
    finally:
        store.close()
