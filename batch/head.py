"""The point of the log that serving tables speak for: a batch version and the epochs after its cut. Who belongs together there, whom some epochs touch. profiles.py asks."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from batch.components import components
from millrace.delta import TenantTables
from millrace.errors import NothingToDo
from millrace.ledger import read_ledger
from millrace.manifest import Manifest, latest_manifest
from millrace.tables import BATCH_NODES, NODES, POSITION, SPEED_EDGES_TABLE

_ENDS = ["a", "b", "hint_a", "hint_b", "first_seen"]
_LATEST = pa.scalar(dict.fromkeys(POSITION.names, 2**31 - 1), POSITION)
"""A position that makes nobody older."""


@dataclass(frozen=True)
class Head:
    """``epoch`` is the last epoch after the manifest's cut that is taken in; the cut itself when there is none."""

    manifest: Manifest
    epoch: int

    @property
    def cut(self) -> int:
        return self.manifest.cut


def newest_head(tables: TenantTables) -> Head:
    """The newest batch version up to the end of the ledger, or to the last epoch before other definitions. NothingToDo before the first publish."""
    manifest = latest_manifest(tables)
    if manifest is None:
        raise NothingToDo("no batch version is published yet; run `python -m jobs.build_batch` first")
    ledger = read_ledger(tables)
    other = ledger.rows.filter((pc.field("epoch") > manifest.cut) & (pc.field("definitions_hash") != manifest.definitions_hash))
    return Head(manifest, pc.min(other["epoch"]).as_py() - 1 if len(other) else ledger.head)


def after_cut(head: Head) -> pc.Expression:
    """Rows of a speed table between the cut and the head."""
    return (pc.field("epoch") > head.cut) & (pc.field("epoch") <= head.epoch)


def published_nodes(tables: TenantTables, head: Head) -> pa.Table:
    """Rows of tables.NODES as of the cut."""
    return tables.read(BATCH_NODES, columns=NODES.names, version=head.manifest.tables[BATCH_NODES.name])


def touched_nodes(tables: TenantTables, head: Head, published: pa.Table, *, after: int) -> pa.Table:
    """Rows of tables.NODES as of the head: all nodes of each person of whom an epoch after ``after`` (not before the cut) tells something."""
    edges = tables.read(SPEED_EDGES_TABLE, columns=["epoch", *_ENDS], where=after_cut(head))
    known = published.filter(pc.is_in(published["node"], value_set=_ends(edges)))
    members = published.filter(pc.is_in(published["person_id"], value_set=pc.unique(known["person_id"])))
    nodes = components(pa.concat_tables([_as_edges(members), edges.select(_ENDS)]))
    seen = nodes.filter(pc.is_in(nodes["node"], value_set=_ends(edges.filter(pc.field("epoch") > after))))
    return nodes.filter(pc.is_in(nodes["person_id"], value_set=pc.unique(seen["person_id"])))


def nodes_at(published: pa.Table, touched: pa.Table) -> pa.Table:
    """All nodes at the head: those of the cut, and what the epochs after it say instead."""
    rest = published.filter(pc.invert(pc.is_in(published["node"], value_set=touched["node"].combine_chunks())))
    return pa.concat_tables([rest, touched.select(rest.column_names)])


def _ends(edges: pa.Table) -> pa.Array:
    return pc.unique(pa.chunked_array([*edges["a"].chunks, *edges["b"].chunks], pa.string()))


def _as_edges(members: pa.Table) -> pa.Table:
    """Edges that give the persons of the cut again: each node with itself where the log first shows it, and with one node of its person."""
    one = members.group_by("person_id").aggregate([("node", "min")])
    place = pc.index_in(members["person_id"], value_set=one["person_id"].combine_chunks())
    own = pa.table([members["node"], members["node"], members["hint"], members["hint"], members["first_seen"]], names=_ENDS)
    latest = pa.chunked_array([pa.repeat(_LATEST, len(members))])
    return pa.concat_tables([own, own.set_column(1, "b", one["node_min"].take(place)).set_column(4, "first_seen", latest)])
