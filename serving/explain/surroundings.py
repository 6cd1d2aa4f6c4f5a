"""All that decides who some identifiers belong to: the edges of their components and what those need to be judged, with the verdicts of the rules.

What batch says of components only says where to look: every verdict comes from the edges themselves, through millrace/identity/resolution.py, and the search
goes on until no accepted edge leads out of what has been read. So it takes a few filtered scans of the tables, whatever the length of a chain.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from millrace.errors import CoverageError
from millrace.identity.edges import ends, touches
from serving.explain.evidence import EVIDENCE, PinnedEdges, without
from serving.explain.values import edges_around, partners

JUDGED = pa.schema([*EVIDENCE, ("reason", pa.string()), ("decision", pa.int64())])
"""An edge with the reason why it is refused, null for one that joins, and the number of the decision about its nodes. ``layer`` is ``decision`` for a pair
that only a decision joins: ``first_at`` is then when it was decided."""


@dataclass(frozen=True)
class Surroundings:
    """``edges`` (JUDGED) and ``nodes`` (tables.NODES) around the identifiers ``asked`` for. The edges of ``whole`` nodes are all there: their degree and
    whether they are isolated is certain. ``members`` are the nodes of the components of those asked for: their persons are certain, and each edge of theirs."""

    asked: tuple[str, ...]
    edges: pa.Table
    nodes: pa.Table
    members: pa.Array
    whole: pa.Array

    def person(self, node: str) -> str:
        """Person of a member."""
        return self._of(node, "person_id")

    def isolated(self, node: str) -> str | None:
        return self._of(node, "isolated")

    def _of(self, node: str, column: str) -> str:
        at = pc.index(self.nodes["node"], node).as_py()
        if at < 0:
            raise CoverageError("the tables no longer know an identifier that was asked for; ask again")
        return self.nodes[column][at].as_py()


def surroundings(source: PinnedEdges, asked: Iterable[str]) -> Surroundings:
    """Reads and judges what is around nodes; CoverageError when one of them has no edge, which a node that has been seen always has."""
    names = tuple(dict.fromkeys(asked))
    inside = pa.array(names, pa.string())
    while True:
        inside = _closed(source, inside)
        older = source.touching(inside)
        near = _judged(source, edges_around(source, inside, older))
        apart = near.nodes.filter(pc.is_valid(near.nodes["isolated"]))["node"].combine_chunks()
        of_joining = near.edges.filter(touches(near.edges, without(inside, apart)))
        beside = without(without(pc.unique(pa.concat_arrays([ends(of_joining), partners(source, inside)])), inside), source.barred)
        far = source.touching(beside)
        whole = pa.concat_arrays([inside, beside])
        older = pa.concat_tables([older, far.filter(pc.invert(touches(far, inside)))])
        found = _judged(source, edges_around(source, whole, older))
        components = found.nodes.filter(pc.is_in(found.nodes["node"], value_set=pa.array(names, pa.string())))["component"]
        members = found.nodes.filter(pc.is_in(found.nodes["component"], value_set=pc.unique(components)))["node"].combine_chunks()
        outside = without(members, inside)
        if not len(outside):
            if len(set(members.to_pylist()) & set(names)) < len(names):
                raise CoverageError("the tables have no edge of an identifier that was asked for; ask again")
            return Surroundings(names, _decided(source, found), found.nodes, members, whole)
        inside = pa.concat_arrays([inside, outside])


@dataclass(frozen=True)
class _Found:
    edges: pa.Table
    nodes: pa.Table


def _judged(source: PinnedEdges, edges: pa.Table) -> _Found:
    resolution = source.resolved(edges)
    decision = pa.nulls(len(edges), pa.int64())
    return _Found(pa.Table.from_arrays([*edges.columns, resolution.refused, decision], schema=JUDGED), resolution.nodes)


def _decided(source: PinnedEdges, found: _Found) -> pa.Table:
    """The edges, with the numbers of decisions about them, and a row for each pair that a decision joins and no event shows: refused where the two are not
    one person all the same."""
    if not source.decided_pairs:
        return found.edges
    edges, rows = found.edges, source.decided_pairs
    pairs = pc.binary_join_element_wise(edges["a"], edges["b"], "\n")
    number = {"\n".join(pair): row for pair, row in rows.items()}
    place = pc.index_in(pairs, value_set=pa.array(list(number), pa.string())).combine_chunks()
    of_kind = pa.array([None if row["kind"] == "join" else "parted" for row in number.values()], pa.string()).take(place)
    reason = edges["reason"].combine_chunks()
    counts = pc.equal(pc.fill_null(of_kind, ""), pc.fill_null(reason, ""))
    numbers = pc.if_else(counts, pa.array([row["decision_id"] for row in number.values()], pa.int64()).take(place), pa.scalar(None, pa.int64()))
    edges = edges.set_column(edges.column_names.index("decision"), "decision", numbers)
    joined = source.joined()
    among = found.nodes["node"].combine_chunks()
    joined = joined.filter(pc.and_(pc.is_in(joined["a"], value_set=among), pc.is_in(joined["b"], value_set=among)))
    joined = joined.filter(pc.invert(pc.is_in(pc.binary_join_element_wise(joined["a"], joined["b"], "\n"), value_set=pairs.combine_chunks())))
    person = dict(zip(found.nodes["node"].to_pylist(), found.nodes["person_id"].to_pylist(), strict=True)) if len(joined) else {}
    more = []
    for pair in joined.to_pylist():
        row = rows[pair["a"], pair["b"]]
        decided = {"first_at": row["decided_at"], "last_at": row["decided_at"], "decision": row["decision_id"], "seen_count": 0, "layer": "decision"}
        more.append(pair | decided | {"reason": None if person[pair["a"]] == person[pair["b"]] else "parted"})
    return pa.concat_tables([edges, pa.Table.from_pylist(more, schema=JUDGED)])


def _closed(source: PinnedEdges, nodes: pa.Array) -> pa.Array:
    """The nodes, with all of their components at the cut and of the components that edges after it and decisions may join to them."""
    newer = source.newer
    newer = newer.filter(pc.invert(touches(newer, source.barred))).select(["a", "b"])
    joined = source.joined()
    known = source.nodes(pc.field("node").isin(pc.unique(pa.concat_arrays([nodes, ends(newer, joined)]))))
    newer = newer.filter(pc.invert(touches(newer, known.filter(pc.is_valid(known["isolated"]))["node"].combine_chunks())))
    newer = pa.concat_tables([newer, joined])
    names = pc.unique(pa.concat_arrays([nodes, ends(newer)]))
    place = pc.index_in(names, value_set=known["node"].combine_chunks())
    unit = pc.coalesce(known["component"].combine_chunks().take(place), names).dictionary_encode()
    of_unit = unit.indices.to_numpy(zero_copy_only=False)
    left, right = (of_unit[pc.index_in(newer[end], value_set=names).to_numpy()] for end in ("a", "b"))
    size = len(unit.dictionary)
    _, group = connected_components(coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(size, size)), directed=False)
    asked = group[of_unit[: len(nodes)]]
    reached = np.isin(group, asked)
    members = source.nodes(pc.field("component").isin(unit.dictionary.filter(pa.array(reached))))["node"].combine_chunks()
    return pc.unique(pa.concat_arrays([nodes, names.filter(pa.array(reached[of_unit])), members]))
