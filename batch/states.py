"""Batch states at a cut: views and edges, from the log alone or from the version before plus the log between the cuts; then persons. batch/build.py calls it."""

from collections.abc import Callable
from functools import partial

from batch.engines import Engine, Slice
from batch.parts import Part, tables_of
from millrace.definitions import Definitions
from millrace.tables.catalogue import BATCH_EDGES, Table
from millrace.tables.manifest import Manifest

Versions = dict[Table, int]


def write_states(engine: Engine, found: Slice, definitions: Definitions, *, persons: Callable[..., Versions], base: Manifest | None) -> Versions:
    """Writes states and edges of the counted events on top of those of ``base``; then what ``persons`` makes of all ``edges`` (their version). Without a base
    the events are the whole log.

    The rows are equal either way (law 9). Until a manifest names the versions nobody reads them.
    """
    jobs: list[Callable[[], Versions]] = []
    for table, parts in tables_of(definitions).items():
        write = partial(_write_table, engine, found, table, parts, base=base)
        jobs.append(partial(_with_persons, write, persons) if table == BATCH_EDGES else write)
    return {table: version for versions in engine.side_by_side(jobs) for table, version in versions.items()}


def _write_table(engine: Engine, found: Slice, table: Table, parts: list[Part], *, base: Manifest | None) -> Versions:
    folded = engine.fold(found.counted, parts, once=base is None)
    if base is not None:
        version = base.tables[table.name]
        folded = [engine.merge(part, [engine.read(part, version=version), engine.part_of(folded, part)]) for part in parts]
    return {table: engine.write(table, folded)}


def _with_persons(write_edges: Callable[[], Versions], persons: Callable[..., Versions]) -> Versions:
    versions = write_edges()
    return versions | persons(edges=versions[BATCH_EDGES])
