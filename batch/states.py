"""Batch states at a cut: views and edges, from the log alone or from the version before plus the log between the cuts; then persons. batch/build.py calls it."""

from collections.abc import Callable
from functools import partial

import pyarrow as pa

from batch.engines import Engine, Slice
from batch.parts import Part, tables_of
from millrace.definitions import Definitions
from millrace.delta import TenantTables
from millrace.identity_decisions import Decisions
from millrace.identity_rules import Rules
from millrace.manifest import Manifest
from millrace.resolution import EVIDENCE, resolve
from millrace.tables import BATCH_EDGES, BATCH_NODES, BATCH_REFUSED, REFUSED, Table

Versions = dict[Table, int]


def write_states(engine: Engine, found: Slice, definitions: Definitions, tables: TenantTables, *, rules: Rules, decisions: Decisions, base: Manifest | None) -> Versions:
    """Writes states and edges of the counted events on top of those of ``base``; from all edges, persons and refused edges. Without a base the events are the whole log.

    The rows are equal either way (law 9). Until a manifest names the versions nobody reads them.
    """
    jobs: list[Callable[[], Versions]] = []
    for table, parts in tables_of(definitions).items():
        write = partial(_write_table, engine, found, table, parts, base=base)
        jobs.append(partial(_with_persons, tables, rules, decisions, write) if table == BATCH_EDGES else write)
    return {table: version for versions in engine.side_by_side(jobs) for table, version in versions.items()}


def _write_table(engine: Engine, found: Slice, table: Table, parts: list[Part], *, base: Manifest | None) -> Versions:
    folded = engine.fold(found.counted, parts, once=base is None)
    if base is not None:
        version = base.tables[table.name]
        folded = [engine.merge(part, [engine.read(part, version=version), engine.part_of(folded, part)]) for part in parts]
    return {table: engine.write(table, folded)}


def _with_persons(tables: TenantTables, rules: Rules, decisions: Decisions, write_edges: Callable[[], Versions]) -> Versions:
    versions = write_edges()
    return versions | write_persons(tables, rules, decisions, edges=versions[BATCH_EDGES])


def write_persons(tables: TenantTables, rules: Rules, decisions: Decisions, *, edges: int) -> Versions:
    """Persons and refused edges of batch/edges at a version. They are found in the driver whatever the engine: edges are few beside events."""
    rows = tables.read(BATCH_EDGES, columns=EVIDENCE, version=edges)
    found = resolve(rows, rules, decisions)
    refused = pa.table([rows["a"], rows["b"], found.refused], schema=REFUSED).filter(found.refused.is_valid()).sort_by([("a", "ascending"), ("b", "ascending")])
    del rows
    return {BATCH_NODES: tables.replace(BATCH_NODES, found.nodes), BATCH_REFUSED: tables.replace(BATCH_REFUSED, refused)}
