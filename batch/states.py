"""Batch states at a cut: views and edges, from the log alone or from the version before plus the log between the cuts. batch/build.py calls it."""

from batch.components import components
from batch.engines import Engine, Slice
from batch.parts import tables_of
from millrace.definitions import Definitions
from millrace.delta import TenantTables
from millrace.manifest import Manifest
from millrace.tables import BATCH_EDGES, BATCH_NODES, EDGES, Table


def write_states(engine: Engine, found: Slice, definitions: Definitions, *, base: Manifest | None) -> dict[Table, int]:
    """Writes states and edges of the counted events on top of those of ``base``; versions by table. Without a base the events are the whole log.

    The rows are equal either way (law 9). Until a manifest names the versions nobody reads them.
    """
    versions = {}
    for table, parts in tables_of(definitions).items():
        folded = engine.fold(found.counted, parts, once=base is None)
        if base is not None:
            version = base.tables[table.name]
            folded = [engine.merge(part, [engine.read(part, version=version), engine.part_of(folded, part)]) for part in parts]
        versions[table] = engine.write(table, folded)
    return versions


def write_persons(tables: TenantTables, *, edges_version: int) -> int:
    """Writes batch/nodes from the edges of a version; its own version. Components are found in the driver whatever the engine."""
    edges = tables.read(BATCH_EDGES, columns=[name for name in EDGES.names if name not in ("first_at", "last_at", "seen_count")], version=edges_version)
    return tables.replace(BATCH_NODES, components(edges))
