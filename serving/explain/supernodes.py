"""The identifiers seen with most others at a point, and what becomes of them. explaining.py asks; one pass over the pairs of all edges."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.identity.decisions import decided_since
from millrace.identity.edges import ends
from millrace.identity.nodes import namespace_of
from serving.explain.evidence import PinnedEdges, without
from serving.explain.paths import Ways
from serving.explain.values import edges_around, one_with

SAMPLED = 5


@dataclass(frozen=True)
class Linked:
    """A node, the others it was seen with by namespace, some of them, and why it is isolated."""

    node: str
    by_namespace: dict[str, int]
    sample: list[str]
    isolated: str | None


def most_linked(source: PinnedEdges, limit: int) -> tuple[list[Linked], dict[str, int]]:
    """The ``limit`` nodes with most links, and the number of isolated nodes by reason, all at the head."""
    isolated = _isolated(source)
    ways = Ways(source.pairs())
    linked = ways.linked()
    order = np.lexsort((np.arange(len(linked)), -linked))[:limit]
    found = []
    for at in order[linked[order] > 0].tolist():
        others = ways.names.take(pa.array(ways.next_to(at))).to_pylist()
        counts: dict[str, int] = {}
        for other in others:
            counts[namespace_of(other)] = counts.get(namespace_of(other), 0) + 1
        name = ways.names[at].as_py()
        found.append(Linked(name, dict(sorted(counts.items())), others[:SAMPLED], isolated.get(name)))
    counts = {"blocked": 0, "shared": 0} | Counter(isolated.values())
    return found, {reason: counts[reason] for reason in sorted(counts)}


def hints_of(source: PinnedEdges, nodes: list[str]) -> dict[str, str | None]:
    """Masked values, as resolution.py would choose them."""
    wanted = pa.array(nodes, pa.string())
    edges = source.newer_touching(wanted)
    seen = [(edges["a"], edges["hint_a"]), (edges["b"], edges["hint_b"])]
    known = source.nodes(pc.field("node").isin(wanted))
    found: dict[str, str | None] = {}
    for names, hints in [(known["node"], known["hint"]), *seen]:
        for name, hint in zip(names.to_pylist(), hints.to_pylist(), strict=True):
            if hint is not None:
                found[name] = min(found.get(name) or hint, hint)
    return found


def _isolated(source: PinnedEdges) -> dict[str, str]:
    """Why each isolated node is so at the head: as at the cut, but judged again where an edge after it or a decision since says something, also of what values
    next to it are one."""
    at_cut = source.nodes(pc.field("isolated").is_valid())
    found = dict(zip(at_cut["node"].to_pylist(), at_cut["isolated"].to_pylist(), strict=True))
    told, removed = ends(source.newer), source.decisions.removed
    seen = {*found, *told.to_pylist(), *source.nodes(pc.field("node").isin(pa.array(sorted(removed), pa.string())))["node"].to_pylist()}
    again = without(pc.unique(pa.concat_arrays([told, _moved(source)])), source.barred)
    judged = source.resolved(edges_around(source, again, source.touching(again))).nodes
    judged = judged.filter(pc.is_in(judged["node"], value_set=again))
    found |= dict(zip(judged["node"].to_pylist(), judged["isolated"].to_pylist(), strict=True))
    found |= {name: reason for name in seen if (reason := source.barring(name))}
    return {name: reason for name, reason in found.items() if reason}


def _moved(source: PinnedEdges) -> pa.Array:
    """Nodes that decisions are about since the cut or that are crowded since, those that are one value with others than at the cut, and all that were seen
    with these."""
    at_cut = source.nodes(pc.field("isolated") == "crowded")["node"].to_pylist()
    decided = pa.concat_arrays([_decided_since(source), pa.array(sorted(source.crowded.difference(at_cut)), pa.string())])
    starts = pc.unique(pa.concat_arrays([decided, ends(source.twins(decided), source.newer_twins)]))
    if not len(starts):
        return starts
    values, _ = one_with(source, starts, apart=pa.array([], pa.string()))
    return pc.unique(pa.concat_arrays([values, ends(source.touching(values), source.newer_touching(values))]))


def _decided_since(source: PinnedEdges) -> pa.Array:
    """Nodes that decisions are about, when they are others than those the batch version follows."""
    return pa.array(sorted(decided_since(source.tables, source.manifest.decisions if source.manifest else 0, source.decisions)), pa.string())
