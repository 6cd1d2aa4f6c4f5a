"""Edges as they stand at a point of the log: a batch version and the epochs after its cut, read from the Delta tables with filters, never from the store.

``PinnedEdges`` is what surroundings.py, paths.py and supernodes.py read. CoverageError when something of the point is no longer kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.definitions import Definitions
from millrace.errors import CoverageError
from millrace.identity.crowds import crowded_nodes, left_alone
from millrace.identity.decisions import Decisions, Pair, about_pairs, read_decisions, standing, standing_rows
from millrace.identity.edges import touches
from millrace.identity.resolution import Resolution, resolve
from millrace.identity.rules import Rules
from millrace.tables.catalogue import BATCH_EDGES, BATCH_NODES, DECISIONS, EDGES, LEDGER, NODES, POSITION, SPEED_EDGES_TABLE, Table
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import NOTHING, read_ledger
from millrace.tables.manifest import Manifest, find_manifest, latest_manifest
from serving.store.answers import Point
from serving.store.coverage import check_edges

EVIDENCE = pa.schema([*EDGES, ("layer", pa.string())])
"""An edge, each pair once. ``layer``: ``batch`` (seen up to the cut), ``speed`` (after it) or ``merged`` (both)."""
_BATCH, _SPEED = 0, 1
_LAYERS = pa.array(["batch", "speed", "merged"])


class PinnedEdges:
    """Nodes and edges at a point. ``newest`` definitions count only before the first publish."""

    def __init__(self, tables: TenantTables, point: Point, newest: Definitions, secret: bytes) -> None:
        self.tables, self.point = tables, point
        self.manifest = None if point.manifest_id is None else _manifest(tables, point.manifest_id)
        definitions = self.manifest.definitions if self.manifest else newest
        if definitions.hash != point.definitions_hash:
            raise CoverageError(f"the definitions {point.definitions_hash} have been replaced before any batch version kept them")
        self.rules: Rules = definitions.identity.compiled(secret)

    @cached_property
    def newer(self) -> pa.Table:
        """Rows of the edges between cut and head, not merged. CoverageError when epochs lack some."""
        after, until = self.point.cut, self.point.head
        epochs = (pc.field("epoch") > after) & (pc.field("epoch") <= until)
        rows = self.tables.read(SPEED_EDGES_TABLE, where=epochs)
        ledger = self.tables.read(LEDGER, columns=["epoch", "accepted", "with_term"], where=epochs)
        accepted = np.zeros(until - after, np.int64)
        np.add.at(accepted, ledger["epoch"].to_numpy() - after - 1, pc.subtract(ledger["accepted"], ledger["with_term"].fill_null(0)).to_numpy())
        check_edges(rows, accepted, after=after)
        return rows.select(EDGES.names)

    @cached_property
    def decisions(self) -> Decisions:
        """Those that stand at the point. CoverageError when some of them are gone."""
        found = standing(self._decided)
        if found.number != self.point.decisions:
            raise CoverageError(f"decisions up to {self.point.decisions} are asked for, there are those up to {found.number}")
        return found

    @cached_property
    def decided_pairs(self) -> dict[Pair, Mapping[str, Any]]:
        """The row of tables.DECISION that stands about a pair."""
        return about_pairs(standing_rows(self._decided))

    @cached_property
    def _decided(self) -> list[dict[str, Any]]:
        return self.tables.read(DECISIONS, where=pc.field("decision_id") <= self.point.decisions).to_pylist()

    @cached_property
    def barred(self) -> pa.Array:
        """Nodes that join nobody, whatever the identifiers next to them: blocked ones, those that a decision removed, and crowded ones."""
        return pa.array(sorted(self.rules.blocked | self.decisions.removed | self.crowded), pa.string())

    @cached_property
    def over(self) -> frozenset[str]:
        """Nodes seen with as many others as make them crowded, whatever was decided about them."""
        linked = self.nodes(pc.field("linked").is_valid()).select(["node", "linked"]).to_pydict()
        at_cut = dict(zip(linked["node"], linked["linked"], strict=True))
        return crowded_nodes(self.rules, at_cut, self.newer.select(["a", "b"]), lambda nodes: self.touching(nodes, columns=["a", "b"]))

    @cached_property
    def crowded(self) -> frozenset[str]:
        return left_alone(self.over, self.decisions)

    def barring(self, node: str) -> str | None:
        """Why a node is among the barred."""
        if node in self.decisions.removed:
            return "removed"
        return "blocked" if node in self.rules.blocked else "crowded" if node in self.crowded else None

    def joined(self) -> pa.Table:
        """a and b of the pairs that decisions join, but for those that join nobody."""
        pairs = pa.Table.from_pylist([{"a": a, "b": b} for a, b in sorted(self.decisions.joined)], schema=pa.schema([("a", pa.string()), ("b", pa.string())]))
        return pairs.filter(pc.invert(touches(pairs, self.barred)))

    def resolved(self, edges: pa.Table) -> Resolution:
        """Persons and verdicts by the rules and the decisions of the point."""
        return resolve(edges, self.rules, self.decisions, self.over)

    def knows(self, node: str) -> bool:
        """Whether an event up to the head has the node."""
        return len(self.newer_touching(pa.array([node]))) > 0 or len(self.nodes(pc.field("node") == node)) > 0

    def nodes(self, where: pc.Expression) -> pa.Table:
        """Rows of tables.NODES as of the cut."""
        return self._read(BATCH_NODES, NODES.names, where)

    def touching(self, nodes: pa.Array, *, columns: Sequence[str] = EDGES.names) -> pa.Table:
        """Edges of the batch version that have one of the nodes."""
        if not len(nodes):
            return pa.schema([EDGES.field(name) for name in columns]).empty_table()
        return self._read(BATCH_EDGES, columns, pc.field("a").isin(nodes) | pc.field("b").isin(nodes))

    def twins(self, nodes: pa.Array) -> pa.Table:
        """Edges of the batch version between two values of one unique namespace, of which one is among the nodes."""
        between = self.between_values
        if between is None or not len(nodes):
            return EDGES.empty_table()
        return self._read(BATCH_EDGES, EDGES.names, between & (pc.field("a").isin(nodes) | pc.field("b").isin(nodes)))

    @cached_property
    def between_values(self) -> pc.Expression | None:
        """Edges between two values of one unique namespace; None when no namespace is unique."""
        found = None
        for name in (name for name, is_unique in zip(self.rules.namespaces, self.rules.unique, strict=True) if is_unique):
            inside = [(pc.field(end) >= f"{name}:") & (pc.field(end) < f"{name};") for end in ("a", "b")]
            both = inside[0] & inside[1] & (pc.field("a") != pc.field("b"))
            found = both if found is None else found | both
        return found

    @cached_property
    def newer_twins(self) -> pa.Table:
        """Edges after the cut between two values of one unique namespace that may join somebody."""
        found = self.newer.slice(0, 0) if self.between_values is None else self.newer.filter(self.between_values)
        return found.filter(pc.invert(touches(found, self.barred)))

    def newer_touching(self, nodes: pa.Array) -> pa.Table:
        return self.newer.filter(touches(self.newer, nodes))

    def pairs(self) -> pa.Table:
        """a and b of every edge at the head, some of them twice."""
        everything = self._read(BATCH_EDGES, ["a", "b"], None)
        return pa.concat_tables([everything, self.newer.select(["a", "b"])])

    def _read(self, table: Table, columns: Sequence[str], where: pc.Expression | None) -> pa.Table:
        if self.manifest is None:
            return pa.schema([table.schema.field(name) for name in columns]).empty_table()
        if table.name not in self.manifest.tables:
            raise CoverageError(f"manifest {self.manifest.manifest_id} does not name {table.name}")
        return self.tables.read(table, columns=columns, where=where, version=self.manifest.tables[table.name])


def newest_point(tables: TenantTables, newest: Definitions) -> Point:
    """The newest point that can be answered: the published version and the ledger's head, or the last epoch before other definitions."""
    manifest, ledger = latest_manifest(tables), read_ledger(tables)
    cut, served = (manifest.cut, manifest.definitions_hash) if manifest else (NOTHING, newest.hash)
    head = ledger.last_under(served, after=cut)
    committed_at = pc.max(ledger.rows.filter(pc.field("epoch") == head)["committed_at"].cast(pa.int64())).as_py() or 0
    decisions = read_decisions(tables).number
    return Point(manifest.manifest_id if manifest else None, cut, head, served, head >= ledger.head, committed_at, decisions)


def merged(older: pa.Table, newer: pa.Table) -> pa.Table:
    """Rows of EVIDENCE: each pair once, sorted by pair, with what both layers say of it."""
    flagged = [rows.append_column("side", pa.repeat(pa.scalar(side, pa.int8()), len(rows))) for side, rows in ((_BATCH, older), (_SPEED, newer))]
    rows = pa.concat_tables(flagged)
    position = rows["first_seen"].combine_chunks()
    for name in POSITION.names:
        rows = rows.append_column(name, position.field(name))
    rows = rows.drop_columns(["first_seen"]).sort_by([(name, "ascending") for name in ("a", "b", *POSITION.names)])
    wanted = [("hint_a", "min"), ("hint_b", "min"), ("first_at", "min"), ("last_at", "max"), ("seen_count", "sum"), ("side", "min"), ("side", "max")]
    found = rows.group_by(["a", "b"], use_threads=False).aggregate([*wanted, *((name, "first") for name in POSITION.names)])
    first = pa.StructArray.from_arrays(
        [found[f"{name}_first"].combine_chunks().cast(POSITION.field(name).type) for name in POSITION.names], fields=list(POSITION)
    )
    layer = np.where(found["side_min"].to_numpy() == found["side_max"].to_numpy(), found["side_min"].to_numpy(), 2)
    named = {name: found[name if name in ("a", "b") else f"{name}_{how}"] for name, how in (("a", ""), ("b", ""), *wanted[:5])}
    columns = named | {"first_seen": first, "layer": _LAYERS.take(pa.array(layer))}
    return pa.Table.from_arrays([columns[name].cast(EVIDENCE.field(name).type) for name in EVIDENCE.names], schema=EVIDENCE)


def without(nodes: pa.Array, others: pa.Array | Iterable[str]) -> pa.Array:
    """The nodes that are not among the others."""
    others = others if isinstance(others, pa.Array) else pa.array(sorted(others), pa.string())
    return nodes.filter(pc.invert(pc.is_in(nodes, value_set=others)))


def _manifest(tables: TenantTables, manifest_id: int) -> Manifest:
    manifest = find_manifest(tables, manifest_id)
    if manifest is None:
        raise CoverageError(f"manifest {manifest_id} is gone")
    return manifest
