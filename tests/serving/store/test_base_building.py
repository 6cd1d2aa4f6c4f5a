"""What gets into a base, and what is refused."""

from pathlib import Path

import pyarrow as pa
import pytest

from millrace.errors import CoverageError
from millrace.tables.catalogue import BATCH_NODES, Table, batch_view
from millrace.tables.delta import TenantTables
from serving.store import base_building
from serving.store.base_building import build_base
from serving.store.base_folders import BaseFolders
from serving.store.batch_base import BatchBase
from serving.store.layout import Layout, decode
from tests.serving.store.by_hand import DEFINITIONS, HandMade, Order, nodes_of, rows_of

ANN, MAIL, BOB = "user_id:ann", "email:m", "user_id:bob"


def test_a_base_holds_slots_by_node_and_merged_by_person(tenant: HandMade, tmp_path: Path) -> None:
    tenant.write(Order(ANN, also=(MAIL,)), Order(MAIL), Order(BOB))
    manifest = tenant.publish(cut=1)
    build_base(tenant.tables, manifest, tmp_path)
    base = BatchBase(tmp_path, manifest)
    reader, orders = base.reader(), Layout(DEFINITIONS.views["person"]).number["count_order", 0]
    assert [decode(reader.states(node) or b"\x90")[orders] for node in (ANN, MAIL, BOB)] == [1, 1, 1]
    person, bob = reader.person_of(MAIL) or "", reader.person_of(BOB) or ""
    assert [member.node for member in reader.members(person)] == [ANN, MAIL]
    assert [decode(reader.slots(one, reader.members(one)) or b"\x90")[orders] for one in (person, bob)] == [2, 1]
    assert (reader.person_of("user_id:nobody"), reader.members("p_nobody"), reader.states("user_id:nobody")) == (None, [], None)
    base.close()


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_a_key_whose_rows_come_in_several_parts_is_whole(tenant: HandMade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    tenant.write(*(Order(node, at=f"2025-01-{day:02d}T12:00:00Z") for node in (ANN, BOB, MAIL) for day in range(1, 6)))
    manifest = tenant.publish(cut=1)
    table = batch_view("person", tenant.view)
    layout = Layout(tenant.view)
    ordered = tenant.tables.read(table, version=manifest.tables[table.name]).sort_by([("key", "ascending")])
    parts = iter([ordered.slice(start, rows) for start in range(0, len(ordered), rows)])
    found = dict(base_building._state_pairs(parts, table, layout))
    assert {key.decode(): decode(slots) for key, slots in found.items()} == layout.fold(ordered)
    assert list(found) == sorted(found)


@pytest.mark.parametrize("twice", ["node", "nothing"])
def test_a_node_that_comes_twice_is_refused(tenant: HandMade, tmp_path: Path, twice: str) -> None:
    tenant.write(Order(ANN))
    first = tenant.publish(cut=1)
    rows = nodes_of(tenant.log) * (2 if twice == "node" else 1)
    version = tenant.tables.replace(BATCH_NODES, pa.Table.from_pylist(rows, schema=BATCH_NODES.schema))
    manifest = tenant.manifest(1, {**first.tables, BATCH_NODES.name: version})
    if twice == "nothing":
        build_base(tenant.tables, manifest, tmp_path)
        return
    with pytest.raises(CoverageError, match="a key that comes twice"):
        build_base(tenant.tables, manifest, tmp_path)


def test_a_manifest_that_does_not_name_a_table_is_refused(tenant: HandMade, tmp_path: Path) -> None:
    tenant.write(Order(ANN))
    manifest = tenant.manifest(1, {BATCH_NODES.name: tenant.publish(cut=1).tables[BATCH_NODES.name]})
    with pytest.raises(CoverageError, match="needs batch/person"):
        build_base(tenant.tables, manifest, tmp_path)


def test_a_table_that_lacks_a_state_is_refused(tenant: HandMade, tmp_path: Path) -> None:
    tenant.write(Order(ANN))
    table = batch_view("person", tenant.view)
    narrow = Table(table.name, pa.schema([field for field in table.schema if field.name != "count_order"]), table.statistics)
    version = tenant.tables.replace(narrow, narrow.schema.empty_table())
    manifest = tenant.manifest(1, {BATCH_NODES.name: tenant.tables.replace(BATCH_NODES, BATCH_NODES.schema.empty_table()), table.name: version})
    with pytest.raises(CoverageError, match="lacks the columns count_order"):
        build_base(tenant.tables, manifest, tmp_path)


def test_a_base_of_another_manifest_is_not_opened(tenant: HandMade, tmp_path: Path) -> None:
    tenant.write(Order(ANN))
    first, second = tenant.publish(cut=1), tenant.publish(cut=1)
    build_base(tenant.tables, first, tmp_path)
    with pytest.raises(CoverageError, match="was not built from manifest 2"):
        BatchBase(tmp_path, second)


def test_sums_beyond_64_bits_survive(tenant: HandMade, tmp_path: Path) -> None:
    tenant.write(*(Order(ANN, revenue="999999999999999.999999999") for _ in range(3)))
    manifest = tenant.publish(cut=1)
    build_base(tenant.tables, manifest, tmp_path)
    base = BatchBase(tmp_path, manifest)
    layout = Layout(DEFINITIONS.views["person"])
    table = pa.Table.from_pylist(rows_of(tenant.log, DEFINITIONS), schema=batch_view("person", tenant.view).schema)
    assert decode(base.reader().states(ANN) or b"") == layout.fold(table)[ANN]
    base.close()


def test_the_base_of_a_root_that_is_a_relative_path_is_built_by_a_real_child(tenant: HandMade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant.write(Order(ANN))
    manifest = tenant.publish(cut=1)
    monkeypatch.chdir(tmp_path.parent)
    held = BaseFolders(TenantTables(tmp_path.name, "t")).open(manifest)
    assert held.base.reader().person_of(ANN)
    held.close()
