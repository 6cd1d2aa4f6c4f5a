"""The point of the log that serving tables speak for: a batch version and the epochs after its cut. Who belongs together there, whom some epochs touch. profiles.py asks."""

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from millrace.errors import NothingToDo
from millrace.identity.crowds import crowded_nodes
from millrace.identity.decisions import UNDECIDED, Decisions, decided_since, read_decisions
from millrace.identity.edges import ends, touches
from millrace.identity.resolution import EVIDENCE, resolve
from millrace.identity.rules import Rules
from millrace.keys import read_keys
from millrace.tables.catalogue import BATCH_EDGES, BATCH_NODES, NODES, SPEED_EDGES_TABLE, speed_view
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import read_ledger
from millrace.tables.manifest import Manifest, latest_manifest

_NOBODY = pa.array([], pa.string())


@dataclass(frozen=True)
class Head:
    """``epoch`` is the last epoch after the manifest's cut that is taken in; the cut itself when there is none. ``decisions``: all that stand."""

    manifest: Manifest
    epoch: int
    decisions: Decisions = UNDECIDED

    @property
    def cut(self) -> int:
        return self.manifest.cut


def newest_head(tables: TenantTables) -> Head:
    """The newest batch version up to the end of the ledger, or to the last epoch before other definitions. NothingToDo before the first publish."""
    manifest = latest_manifest(tables)
    if manifest is None:
        raise NothingToDo("no batch version is published yet; run `python -m jobs.build_batch` first")
    ledger = read_ledger(tables)
    return Head(manifest, ledger.last_under(manifest.definitions_hash, after=manifest.cut), read_decisions(tables))


def receipt_columns(head: Head, *, as_of: datetime) -> dict[str, object]:
    """The columns of serving tables that say what a row was made from."""
    manifest = head.manifest
    return {
        "as_of": as_of, "manifest_id": manifest.manifest_id, "cut": manifest.cut, "head": head.epoch, "definitions_hash": manifest.definitions_hash,
        "decisions": head.decisions.number,
    }  # fmt: skip


def after_cut(head: Head) -> pc.Expression:
    """Rows of a speed table between the cut and the head."""
    return (pc.field("epoch") > head.cut) & (pc.field("epoch") <= head.epoch)


def published_nodes(tables: TenantTables, head: Head) -> pa.Table:
    """Rows of tables.NODES as of the cut."""
    return tables.read(BATCH_NODES, columns=NODES.names, version=head.manifest.tables[BATCH_NODES.name])


def touched_nodes(tables: TenantTables, head: Head, published: pa.Table, *, after: int) -> pa.Table:
    """Rows of tables.NODES as of the head: all nodes of each component of which an epoch after ``after`` (not before the cut) tells something, and of those
    that were one with it before."""
    newer = tables.read(SPEED_EDGES_TABLE, columns=["epoch", *EVIDENCE], where=after_cut(head))
    decided = _decided_since(tables, head)
    if not len(newer) and not len(decided):
        return NODES.empty_table()
    rules = head.manifest.definitions.identity.compiled(read_keys(tables.root, tables.tenant).token_secret)
    edges = tables.read(BATCH_EDGES, columns=EVIDENCE, version=head.manifest.tables[BATCH_EDGES.name])
    nodes = nodes_around(published, edges, newer.select(list(EVIDENCE)), rules, decided=decided, decisions=head.decisions)
    told = pc.unique(pa.concat_arrays([ends(newer.filter(pc.field("epoch") > after)), _beside(edges, decided)]))
    before = published.filter(pc.is_in(published["component"], value_set=_components(published, told)))
    left_alone = nodes.filter(pc.and_(pc.is_valid(nodes["isolated"]), pc.is_in(nodes["node"], value_set=told)))
    left_alone = left_alone.filter(
        pc.invert(pc.is_in(left_alone["node"], value_set=published.filter(pc.is_valid(published["isolated"]))["node"].combine_chunks()))
    )
    beside = pc.unique(pa.concat_arrays([
        ends(newer.filter(touches(newer, left_alone["node"].combine_chunks()))),
        _beside(edges, left_alone.filter(pc.equal(left_alone["isolated"], "crowded"))["node"].combine_chunks()),
    ]))  # fmt: skip
    now = pc.is_in(nodes["component"], value_set=_components(nodes, pa.concat_arrays([told, beside])))
    return nodes.filter(pc.or_(now, pc.is_in(nodes["node"], value_set=before["node"].combine_chunks())))


def told_nodes(tables: TenantTables, head: Head, published: pa.Table, *, after: int) -> pa.Table:
    """``touched_nodes``, and all nodes of persons of whom events of sources with a term tell something: these show no edge."""
    touched, definitions = touched_nodes(tables, head, published, after=after), head.manifest.definitions
    if not definitions.terms:
        return touched
    since = (pc.field("epoch") > after) & (pc.field("epoch") <= head.epoch)
    keys = [tables.read(speed_view(name, view), columns=["key"], where=since)["key"].combine_chunks() for name, view in definitions.views.items()]
    everybody = nodes_at(published, touched_nodes(tables, head, published, after=head.cut))
    persons = everybody.filter(pc.is_in(everybody["node"], value_set=pa.concat_arrays([*keys, touched["node"].combine_chunks()])))["person_id"]
    return everybody.filter(pc.is_in(everybody["person_id"], value_set=persons.combine_chunks()))


def nodes_around(published: pa.Table, edges: pa.Table, newer: pa.Table, rules: Rules, *, decided: pa.Array = _NOBODY, decisions: Decisions = UNDECIDED) -> pa.Table:
    """Rows of tables.NODES for every node whose component newer edges, or decisions about the nodes ``decided``, touch, as if all edges were resolved.
    ``published``, ``edges``: what is known from before.

    Other components are looked at when an edge that used to be refused leads there now.
    """
    crowded = _crowded(published, edges, newer, rules)
    at_cut = published.filter(pc.equal(published["isolated"], "crowded"))["node"].to_pylist()
    moved = pa.concat_arrays([decided, pa.array(sorted(crowded.difference(at_cut)), pa.string())])
    first = pc.unique(pa.concat_arrays([ends(newer), _beside(edges, moved)]))
    among = _components(published, first)
    while True:
        inside = pc.unique(pa.chunked_array([*published.filter(pc.is_in(published["component"], value_set=among))["node"].chunks, first]))
        near = pa.concat_tables([edges.filter(touches(edges, inside)), newer])
        found = resolve(near, rules, decisions, crowded)
        reached = pa.concat_arrays([ends(near.filter(found.refused.is_null())), _partners(inside, decisions)])
        more = pc.unique(pa.concat_arrays([among, _components(published, reached.filter(pc.invert(pc.is_in(reached, value_set=inside))))]))
        if len(more) == len(among):
            return found.nodes.filter(pc.is_in(found.nodes["node"], value_set=inside))
        among = more


def _crowded(published: pa.Table, edges: pa.Table, newer: pa.Table, rules: Rules) -> frozenset[str]:
    """Nodes that are over at the head (millrace/identity/crowds.py)."""
    many = published.filter(pc.is_valid(published["linked"]))
    linked = dict(zip(many["node"].to_pylist(), many["linked"].to_pylist(), strict=True))
    return crowded_nodes(rules, linked, newer.select(["a", "b"]), lambda nodes: edges.filter(touches(edges, nodes)).select(["a", "b"]))


def nodes_at(published: pa.Table, touched: pa.Table) -> pa.Table:
    """All nodes at the head: those of the cut, and what the epochs after it say instead."""
    rest = published.filter(pc.invert(pc.is_in(published["node"], value_set=touched["node"].combine_chunks())))
    return pa.concat_tables([rest, touched.select(rest.column_names)])


def _components(nodes: pa.Table, among: pa.Array) -> pa.Array:
    return pc.unique(nodes.filter(pc.is_in(nodes["node"], value_set=among))["component"])


def _partners(nodes: pa.Array, decisions: Decisions) -> pa.Array:
    """Nodes that decisions join with one of these."""
    if not decisions.joined:
        return _NOBODY
    here = set(nodes.filter(pc.is_in(nodes, value_set=pa.array(sorted(decisions.nodes), pa.string()))).to_pylist())
    return pa.array([node for pair in sorted(decisions.joined) if not here.isdisjoint(pair) for node in pair], pa.string())


def _beside(edges: pa.Table, nodes: pa.Array) -> pa.Array:
    """The nodes and what edges show with them."""
    return pc.unique(pa.concat_arrays([nodes, ends(edges.filter(touches(edges, nodes)))]))


def _decided_since(tables: TenantTables, head: Head) -> pa.Array:
    """Nodes that decisions after those of the manifest are about."""
    return pa.array(sorted(decided_since(tables, head.manifest.decisions, head.decisions)), pa.string())
