"""The persons of a batch version with what their identify calls say of them: what the linkage compares. The job's run calls it.

Clear values are read from the log, live in memory while the run lasts and are written nowhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.head import Head, nodes_at, published_nodes, touched_nodes
from batch.linkage.attributes import ID
from batch.linkage.clusters import Limits
from batch.linkage.comparing import in_memory
from millrace.identity.decisions import Decisions, read_decisions
from millrace.identity.nodes import namespace_of, person_id
from millrace.identity.rules import IdentityRules
from millrace.tables.catalogue import EVENTS
from millrace.tables.delta import TenantTables
from millrace.tables.manifest import Manifest

_COLUMNS = ["node", "event_time", "partition", "offset", "payload"]
_NEWEST = """
    SELECT person, place, arg_max(value, (event_time, partition, "offset")) AS value
    FROM (
        SELECT person, event_time, partition, "offset",
               unnest(json_extract_string(payload, $paths)) AS value, unnest(range(len($paths))) AS place
        FROM events JOIN nodes ON nodes.node = events.node
    )
    WHERE trim(value) <> ''
    GROUP BY person, place
"""


@dataclass(frozen=True)
class Persons:
    """``records``: ``id`` and a column an attribute, one row a person of whom at least two attributes are known; ``id`` is the node he is named after.
    ``limits``: what each of them holds of the namespaces that have a cap, named in ``namespaces``, and which of them are never one person by decision."""

    records: pa.Table
    limits: Limits
    namespaces: tuple[str, ...]


def read_persons(tables: TenantTables, manifest: Manifest, columns: Mapping[str, str]) -> Persons:
    """Persons of the manifest's events under all decisions that stand, those since included: what somebody has joined is one person already. Of each attribute the
    newest value by event time. ``columns``: column by value path. A blocked or shared node is nobody."""
    decisions = read_decisions(tables)
    head = Head(manifest, manifest.cut, decisions)
    published = published_nodes(tables, head)
    rows = nodes_at(published, touched_nodes(tables, head, published, after=head.cut))
    rows = rows.filter(pc.is_null(rows["isolated"]))
    named_after = {person: node for node, person in zip(*(rows[name].to_pylist() for name in ("node", "person_id")), strict=True) if person_id(node) == person}
    nodes = pa.table({"node": rows["node"], "person": pa.array([named_after.get(person) for person in rows["person_id"].to_pylist()], pa.string())})
    records = _records(_newest(tables, manifest, nodes, list(columns)), list(columns.values()))
    limits, namespaces = _limits(nodes, records, manifest.definitions.identity)
    return Persons(records, replace(limits, apart=_apart(nodes, records, decisions)), namespaces)


def _apart(nodes: pa.Table, records: pa.Table, decisions: Decisions) -> np.ndarray:
    """Pairs of records whose persons decisions part."""
    ends = pa.array([node for pair in sorted(decisions.parted) for node in pair], pa.string())
    persons = nodes["person"].combine_chunks().take(pc.index_in(ends, value_set=nodes["node"].combine_chunks()))
    rows = pc.index_in(persons, value_set=records[ID].combine_chunks(), skip_nulls=True)
    found = pc.fill_null(rows, -1).to_numpy().astype(np.int64).reshape(-1, 2)
    return found[(found >= 0).all(axis=1)]


def _newest(tables: TenantTables, manifest: Manifest, nodes: pa.Table, paths: list[str]) -> pa.Table:
    where = (pc.field("type") == "identify") & (pc.field("epoch") <= manifest.cut) & pc.field("node").is_valid()
    if terms := manifest.definitions.terms:  # evidence that joins persons would outlive them
        where &= ~pc.field("source").isin(list(terms))
    schema = pa.schema([EVENTS.schema.field(name) for name in _COLUMNS])
    events = pa.RecordBatchReader.from_batches(schema, (batch.cast(schema) for batch in tables.batches(EVENTS, columns=_COLUMNS, where=where)))
    connection = in_memory()
    connection.register("events", events)
    connection.register("nodes", nodes.filter(pc.is_valid(nodes["person"])))
    return connection.execute(_NEWEST, {"paths": [f"$.{path}" for path in paths]}).to_arrow_table()


def _records(values: pa.Table, names: list[str]) -> pa.Table:
    persons = pc.unique(values["person"]).sort()
    columns = {}
    for place, name in enumerate(names):
        mine = values.filter(pc.equal(values["place"], place))
        columns[name] = mine["value"].combine_chunks().take(pc.index_in(persons, value_set=mine["person"].combine_chunks()))
    known = np.sum([column.is_valid().to_numpy(zero_copy_only=False) for column in columns.values()], axis=0)
    return pa.table({ID: persons, **columns}).filter(pa.array(known >= 2))


def _limits(nodes: pa.Table, records: pa.Table, identity: IdentityRules) -> tuple[Limits, tuple[str, ...]]:
    capped = tuple(name for name, rules in identity.namespaces.items() if rules.cap is not None)
    of = pc.index_in(nodes["person"], value_set=records[ID].combine_chunks()).to_pylist()
    held = np.zeros((len(records), len(capped)), np.int64)
    for node, row in zip(nodes["node"].to_pylist(), of, strict=True):
        if row is not None and (namespace := namespace_of(node)) in capped:
            held[row, capped.index(namespace)] += 1
    return Limits(held, np.array([identity.namespaces[name].cap for name in capped], np.int64)), capped
