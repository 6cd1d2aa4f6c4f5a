"""Which values are one, next to nodes whose edges are all read: only then is it certain whether a node is shared. surroundings.py, labels.py and supernodes.py ask.

Aliases and decisions make several values of a unique namespace one value (millrace/identity/verdicts.py), also values that the nodes themselves never were seen
with: so the search follows both to their ends, through filtered reads of nothing but edges between two values of one unique namespace.
"""

import pyarrow as pa
import pyarrow.compute as pc

from millrace.identity.edges import ends, touches
from millrace.tables.catalogue import EDGES
from serving.explain.evidence import PinnedEdges, merged, without


def edges_around(source: PinnedEdges, whole: pa.Array, older: pa.Table) -> pa.Table:
    """Rows of EVIDENCE: all edges of ``whole`` nodes, of which ``older`` are those of the batch version, and what says which values next to them are one.
    Of a node that only decisions lead to there is a row of itself, without evidence."""
    newer = source.newer_touching(whole)
    values = without(_values(source, ends(older, newer)), whole)
    known, more = one_with(source, pa.concat_arrays([whole, values]), apart=whole)
    decided = without(without(partners(source, known), whole), ends(older, newer, *more))
    read = pa.concat_arrays([whole, decided])
    newer = source.newer_touching(read)
    return merged(pa.concat_tables([older, *more, _alone(source, decided)]), pa.concat_tables([newer, _newer_twins(source, known, apart=read)]))


def one_with(source: PinnedEdges, nodes: pa.Array, *, apart: pa.Array) -> tuple[pa.Array, list[pa.Table]]:
    """The nodes and all that aliases and decisions may make one with them, however many these are; and the aliases of the batch version among them that have
    no node of ``apart``."""
    known, fresh, aliases = nodes, without(nodes, source.barred), []
    done = apart
    while len(fresh):
        values = _values(source, fresh)
        twins = source.twins(values)
        twins = twins.filter(pc.invert(touches(twins, source.barred)))
        aliases.append(twins.filter(pc.invert(touches(twins, done))))
        done = pa.concat_arrays([done, values])
        reached = pa.concat_arrays([ends(twins, _newer_twins(source, values)), partners(source, fresh)])
        fresh = without(without(pc.unique(reached), known), source.barred)
        known = pa.concat_arrays([known, fresh])
    return known, aliases


def partners(source: PinnedEdges, nodes: pa.Array) -> pa.Array:
    """Those that decisions join with one of the nodes, and these themselves."""
    joined = source.joined()
    return ends(joined.filter(touches(joined, nodes)))


def _values(source: PinnedEdges, nodes: pa.Array) -> pa.Array:
    """Those of unique namespaces that may join somebody."""
    unique = [name for name, is_unique in zip(source.rules.namespaces, source.rules.unique, strict=True) if is_unique]
    found = [nodes.filter(pc.starts_with(nodes, f"{name}:")) for name in unique]
    return without(pa.concat_arrays([*found, pa.array([], pa.string())]), source.barred)


def _newer_twins(source: PinnedEdges, nodes: pa.Array, *, apart: pa.Array | None = None) -> pa.Table:
    """Edges after the cut between two values of one unique namespace, of which one is among the nodes and none is ``apart``."""
    twins = source.newer_twins
    twins = twins.filter(touches(twins, nodes))
    return twins if apart is None else twins.filter(pc.invert(touches(twins, apart)))


def _alone(source: PinnedEdges, nodes: pa.Array) -> pa.Table:
    """A row for each of the nodes that the batch version knows."""
    if not len(nodes):
        return EDGES.empty_table()
    rows = source.nodes(pc.field("node").isin(nodes)).to_pylist()
    return pa.Table.from_pylist(
        [{"a": row["node"], "b": row["node"], "hint_a": row["hint"], "hint_b": row["hint"], "seen_count": 0, "first_seen": row["first_seen"]} for row in rows], schema=EDGES
    )
