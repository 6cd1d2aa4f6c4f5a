"""The job on a tenant whose log holds identify calls of FEBRL 3's records: half of them under a user id, half under an anonymous id."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml

from jobs.link_persons import main
from millrace.definitions import DEFAULT_DIRECTORY, load_definitions
from millrace.identity.nodes import person_id
from millrace.tables.catalogue import BATCH_NODES, EVENTS, LINK_CANDIDATES, LINK_MODELS, OPS_RUNS
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import Manifest, write_manifest
from tests.batch.linkage.labelled import febrl3

TENANT, RECORDS = "t", 600
LABELLED = febrl3()
ROWS = LABELLED.records.slice(0, RECORDS).to_pylist()


def node_of_row(row: int) -> str:
    """Every second record has logged in."""
    return f"{'anonymous_id' if row % 2 else 'user_id'}:{row:032d}"


def event(offset: int, node: str, traits: dict[str, str | None], *, at: datetime) -> dict[str, object]:
    payload = json.dumps({"type": "identify", "messageId": f"m{offset}", "traits": {name: value for name, value in traits.items() if value is not None}})
    return {"shard": "0", "epoch": 1, "partition": 0, "offset": offset, "event_time": at, "type": "identify", "node": node, "payload": payload}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Log, nodes and a manifest; the definitions declare the attributes; the job has run once."""
    tmp_path = tmp_path_factory.mktemp("linkage")
    tables, start = TenantTables(tmp_path, TENANT), datetime(2025, 1, 1, tzinfo=UTC)
    traits = [{name: row[name] for name in LABELLED.kinds} for row in ROWS]
    events = [event(n, node_of_row(n), {**one, "soc_sec_id": "1"}, at=start) for n, one in enumerate(traits)]
    events += [event(RECORDS + n, node_of_row(n), one, at=start + timedelta(days=1)) for n, one in enumerate(traits)]
    tables.add(EVENTS, pa.Table.from_pylist(events, schema=EVENTS.schema))
    nodes = [{"node": node_of_row(n), "person_id": person_id(node_of_row(n))} for n in range(RECORDS)]
    version = tables.replace(BATCH_NODES, pa.Table.from_pylist(nodes, schema=BATCH_NODES.schema))
    definitions = tmp_path / "definitions"
    definitions.mkdir()
    (definitions / "views.yml").write_text((DEFAULT_DIRECTORY / "views.yml").read_text(encoding="utf-8"), encoding="utf-8")
    declare(tmp_path, enabled=True)
    loaded = load_definitions(definitions)
    write_manifest(tables, Manifest(1, start, "full", 1, "{}", {BATCH_NODES.name: version}, loaded.hash, loaded.to_json(), {}))
    assert run(tmp_path) == 0
    return tmp_path


def declare(root: Path, *, enabled: bool) -> None:
    section = {"enabled": enabled, "attributes": {f"traits.{name}": kind for name, kind in LABELLED.kinds.items()}}
    (root / "definitions" / "identity.yml").write_text(yaml.safe_dump({"linkage": section}), encoding="utf-8")


def run(root: Path, *more: str) -> int:
    return main(["--root", str(root), "--tenant", TENANT, "--definitions", str(root / "definitions"), *more])


def test_candidates_are_true_and_never_join_two_user_ids(root: Path) -> None:
    pairs = TenantTables(root, TENANT).read(LINK_CANDIDATES).to_pylist()
    true = {node_of_row(n): entity for n, entity in enumerate(LABELLED.truth[:RECORDS].tolist())}
    accepted = [(one["a"], one["b"]) for one in pairs if one["verdict"] == "accepted"]
    refused = [one for one in pairs if one["verdict"] == "rejected"]
    assert len(accepted) > 20 and all(true[a] == true[b] for a, b in accepted)
    assert not [pair for pair in accepted if all(node.startswith("user_id:") for node in pair)]
    assert refused and {one["reason"] for one in refused} == {"unique"}
    assert all(one["a"] < one["b"] and one["person_a"] == person_id(one["a"]) for one in pairs)


def test_what_is_written_holds_levels_and_no_values(root: Path) -> None:
    evidence = [json.loads(text) for text in TenantTables(root, TENANT).read(LINK_CANDIDATES)["evidence"].to_pylist()]
    words = {value for row in ROWS for name in ("surname", "address_1", "soc_sec_id") if (value := row[name]) and len(value) > 5}
    tables = TenantTables(root, TENANT)
    written = json.dumps([tables.read(table).to_pylist() for table in (LINK_CANDIDATES, LINK_MODELS, OPS_RUNS)], default=str)
    assert {word for one in evidence for word in one.values()} <= {"equal", "close", "similar", "same year", "swapped", "different", "missing"}
    assert [word for word in words if word in written] == []


def test_the_newest_value_of_an_attribute_counts(root: Path) -> None:
    evidence = [json.loads(text)["soc_sec_id"] for text in TenantTables(root, TENANT).read(LINK_CANDIDATES)["evidence"].to_pylist()]
    assert "different" in evidence


def test_the_model_stays_until_somebody_trains(root: Path) -> None:
    tables = TenantTables(root, TENANT)

    assert [run(root), run(root, "--train")] == [0, 0]

    runs = [json.loads(text)["trained"] for text in tables.read(OPS_RUNS).sort_by("started_at")["counts"].to_pylist()]
    versions = tables.read(LINK_MODELS)["model_version"].to_pylist()
    assert runs == [True, False, True]
    assert len(versions) == 2 and len(set(versions)) == 1, "the same records teach the same"
    assert pc.unique(tables.read(LINK_CANDIDATES)["model_version"]).to_pylist() == versions[:1]


def test_a_tenant_that_did_not_turn_it_on_has_nothing_to_do(root: Path) -> None:
    declare(root, enabled=False)

    assert run(root) == 4
