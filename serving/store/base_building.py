"""Builds the LMDB environment of one manifest: a child process of the store runs it, so that sorting and encoding take nothing from the server.

Enters: root, tenant, manifest id, an empty folder. Leaves: the environment in the folder, its description last. Ends 0, or 1 with a sentence on stderr.
"""

import argparse
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from functools import reduce
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any

import duckdb
import lmdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from deltalake.exceptions import DeltaError

from millrace.errors import CoverageError, MillraceError
from millrace.identity.nodes import by_priority
from millrace.tables.catalogue import BATCH_EDGES, BATCH_NODES, Table, batch_view
from millrace.tables.delta import TenantTables, conform
from millrace.tables.manifest import Manifest, find_manifest
from serving.store.batch_base import Edge, Member, Place, encode_edges, encode_members, encode_place, keyed_name, open_environment, write_description
from serving.store.layout import Layout, decode, encode

log = logging.getLogger(__name__)
Pairs = Iterator[tuple[bytes, bytes]]
PERSON = "person"
"""The view whose traits a profile shows."""
ROWS = 100_000
_STATES = "SELECT * FROM pinned ORDER BY key, hop, hop_start"
_NODES = """
    SELECT node, person_id, component, component IN (SELECT component FROM pinned WHERE person_id <> component), isolated IS NOT NULL, coalesce(linked, 0)
    FROM pinned ORDER BY node
"""
_PERSONS = 'SELECT person_id, node, hint, first_seen.epoch, first_seen."partition", first_seen."offset" FROM pinned ORDER BY person_id'
_EDGES = """
    WITH kept AS (
        SELECT one.component AS here, other.component AS there, a, b, edge.first_seen.epoch AS epoch, edge.first_seen."partition" AS part, edge.first_seen."offset" AS spot
        FROM pinned AS edge JOIN nodes AS one ON a = one.node JOIN nodes AS other ON b = other.node
        WHERE a <> b AND one.isolated IS DISTINCT FROM 'blocked' AND other.isolated IS DISTINCT FROM 'blocked'
    )
    SELECT here, a, b, epoch, part, spot FROM kept UNION ALL SELECT there, a, b, epoch, part, spot FROM kept WHERE there <> here ORDER BY 1
"""
_IDS = "SELECT left(sha256(node), 24), node FROM pinned WHERE person_id <> 'p_' || left(sha256(node), 24) ORDER BY 1"
_OF_SEVERAL = "SELECT person_id, list(node) FROM pinned GROUP BY person_id HAVING count(*) > 1 ORDER BY person_id"


def build_base(tables: TenantTables, manifest: Manifest, folder: Path) -> None:
    """Writes the environment. CoverageError when a table is not there at the manifest's version, or a key comes twice."""
    view = manifest.definitions.views[PERSON]
    states, layout = batch_view(PERSON, view), Layout(view)
    environment = open_environment(folder, readonly=False)
    try:
        write_sorted(environment, "nodes", _node_pairs(sorted_rows(tables, manifest, BATCH_NODES, sql=_NODES, spill=folder)))
        write_sorted(environment, "persons", _person_pairs(sorted_rows(tables, manifest, BATCH_NODES, sql=_PERSONS, spill=folder)))
        write_sorted(environment, "states", _state_pairs(sorted_rows(tables, manifest, states, sql=_STATES, spill=folder), states, layout))
        several = sorted_rows(tables, manifest, BATCH_NODES, sql=_OF_SEVERAL, spill=folder)
        write_sorted(environment, "merged", _merged_pairs(several, environment, layout))
        inside = sorted_rows(tables, manifest, BATCH_EDGES, sql=_EDGES, spill=folder, beside={"nodes": BATCH_NODES})
        write_sorted(environment, "edges", _edge_pairs(inside))
        ids = sorted_rows(tables, manifest, BATCH_NODES, sql=_IDS, spill=folder)
        write_sorted(environment, "ids", ((name.encode(), node.encode()) for name, node in _rows(ids)))
        write_sorted(environment, "keyed", _keyed_pairs(tables, manifest, folder))
        write_description(environment, manifest)
        environment.sync(True)
    finally:
        environment.close()


def sorted_rows(
    tables: TenantTables, manifest: Manifest, table: Table, *, sql: str, spill: Path, beside: Mapping[str, Table] = MappingProxyType({})
) -> Iterator[pa.Table]:
    """The rows of a table (``pinned``) at the manifest's version as ``sql`` orders them, with other tables by name, in parts; what does not fit into
    memory is spilled to the folder."""
    with duckdb.connect(config={"memory_limit": "1GB", "threads": 2, "temp_directory": str(spill / "spill"), "preserve_insertion_order": False}) as database:
        for name, one in {"pinned": table, **beside}.items():
            database.register(name, _pinned(tables, manifest, one))
        for batch in database.execute(sql).to_arrow_reader(ROWS):
            yield pa.Table.from_batches([batch])


def _pinned(tables: TenantTables, manifest: Manifest, table: Table) -> ds.Dataset:
    version = manifest.tables.get(table.name)
    found = tables.open(table, version=version) if version is not None else None
    if found is None:
        raise CoverageError(f"manifest {manifest.manifest_id} needs {table.name} at version {version}, which is not there; build a new batch version")
    if missing := sorted(set(table.schema.names) - {field.name for field in found.schema().fields}):
        raise CoverageError(f"{table.name} at version {version} lacks the columns {', '.join(missing)}; build a new batch version with --full")
    return found.to_pyarrow_dataset()


def _rows(parts: Iterator[pa.Table]) -> Iterator[tuple[Any, ...]]:
    return (row for part in parts for row in zip(*(column.to_pylist() for column in part.columns), strict=True))


def _node_pairs(parts: Iterator[pa.Table]) -> Pairs:
    return ((node.encode(), encode_place(Place(*place))) for node, *place in _rows(parts))


def _edge_pairs(parts: Iterator[pa.Table]) -> Pairs:
    return ((component.encode(), encode_edges([Edge(*row[1:]) for row in group])) for component, group in groupby(_rows(parts), key=itemgetter(0)))


def _person_pairs(parts: Iterator[pa.Table]) -> Pairs:
    for person_id, group in groupby(_rows(parts), key=itemgetter(0)):
        members = {member.node: member for member in (Member(*row[1:]) for row in group)}
        yield person_id.encode(), encode_members([members[node] for node in by_priority(members)])


def _state_pairs(parts: Iterator[pa.Table], table: Table, layout: Layout) -> Pairs:
    """Slots of each key in key order; a key whose rows are spread over two parts waits for the second."""
    waiting = table.schema.empty_table()
    for part in parts:
        rows = pa.concat_tables([waiting, conform(part, table.schema)])
        keys = rows["key"].combine_chunks()
        split = int(np.argmax(pc.equal(keys, keys[-1]).to_numpy(zero_copy_only=False)))
        yield from _encoded(rows.slice(0, split), layout)
        waiting = rows.slice(split)
    yield from _encoded(waiting, layout)


def _keyed_pairs(tables: TenantTables, manifest: Manifest, folder: Path) -> Pairs:
    """Slots of every view whose keys are not nodes, one view after another."""
    for name, view in sorted(manifest.definitions.views.items()):
        if view.keyed.parts:
            table = batch_view(name, view)
            found = _state_pairs(sorted_rows(tables, manifest, table, sql=_STATES, spill=folder), table, Layout(view))
            yield from ((keyed_name(name, key.decode()), slots) for key, slots in found)


def _merged_pairs(parts: Iterator[pa.Table], environment: lmdb.Environment, layout: Layout) -> Pairs:
    states = environment.open_db(b"states", create=False)
    for part in parts:
        for person_id, nodes in zip(part[0].to_pylist(), part[1].to_pylist(), strict=True):
            with environment.begin(db=states) as transaction:
                slots = [layout.without_unions(decode(found)) for node in nodes if (found := transaction.get(node.encode())) is not None]
            if slots:
                yield person_id.encode(), encode(layout.with_unions(reduce(layout.merge, slots)))


def _encoded(rows: pa.Table, layout: Layout) -> Pairs:
    found = layout.fold(rows)
    return ((key.encode(), encode(layout.with_unions(found[key]))) for key in sorted(found))


def write_sorted(environment: lmdb.Environment, name: str, pairs: Pairs) -> None:
    """Appends pairs that come in key order, some thousands to a transaction. Pairs are made between transactions: they may read what is written."""
    database = environment.open_db(name.encode())
    while chunk := list(islice(pairs, ROWS)):
        with environment.begin(write=True, db=database) as transaction:
            for key, value in chunk:
                if not transaction.put(key, value, append=True):
                    raise CoverageError(f"the batch tables hold {name} with a key that comes twice; build a new batch version with --full")


def main(argv: list[str] | None = None) -> int:
    """What the child process does."""
    parser = argparse.ArgumentParser(prog="python -m serving.store.base_building", description=__doc__)
    for name in ("--root", "--tenant", "--into"):
        parser.add_argument(name, required=True)
    parser.add_argument("--manifest", required=True, type=int)
    options = parser.parse_args(argv)
    os.nice(10)
    tables = TenantTables(options.root, options.tenant)
    started = time.monotonic()
    try:
        manifest = find_manifest(tables, options.manifest)
        if manifest is None:
            raise CoverageError(f"there is no manifest {options.manifest}")
        build_base(tables, manifest, Path(options.into))
    except (MillraceError, DeltaError, OSError, duckdb.Error, lmdb.Error, pa.ArrowException) as error:
        sys.stderr.write(f"{' '.join(str(error).split())}\n")
        return 1
    log.info("base built manifest=%d seconds=%.2f", options.manifest, time.monotonic() - started)
    return 0


if __name__ == "__main__":
    sys.exit(main())
