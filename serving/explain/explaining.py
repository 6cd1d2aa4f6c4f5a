"""Answers about who is who at a pinned point: the graph around an identifier, why two are or are not one person, the most linked ones. answering.py adds receipts."""

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from millrace.errors import CoverageError
from millrace.identity.edges import ends, touches
from millrace.identity.nodes import namespace_of
from serving.explain.answers import Counts, Edge, End, Graph, Node, SuperNode
from serving.explain.evidence import PinnedEdges
from serving.explain.labels import ISOLATED, Labels, short_names
from serving.explain.paths import Ways
from serving.explain.supernodes import hints_of, most_linked
from serving.explain.surroundings import Surroundings, surroundings

NEAR, NEARER = 5, 3
"""A way so short cannot be beaten by one through an edge that was not read: such an edge touches neither end nor, unless a blocked or removed value is near or an end is
isolated, a node next to one."""


class Explained(NamedTuple):
    person_id: str
    identifier: Node
    because: str
    graph: Graph


class Connection(NamedTuple):
    same_person: bool
    because: str
    a: Node
    b: Node
    path: list[Edge]


def explain(source: PinnedEdges, node: str, *, limit: int) -> Explained:
    """The component of a node that has been seen, the ``limit`` edges nearest to it first."""
    found = surroundings(source, [node])
    edges = found.edges.filter(pc.and_(pc.not_equal(found.edges["a"], found.edges["b"]), touches(found.edges, found.members)))
    shown = _nearest(edges, node).slice(0, limit).to_pylist()
    names = {node: None} | {row[end]: None for row in shown for end in ("a", "b")}
    labels = Labels(source, found, names)
    joined = [labels.edge(row) for row in shown]
    refused, decided = len(edges) - edges["reason"].null_count, pc.sum(pc.equal(edges["layer"], "decision")).as_py() or 0
    of_members = found.nodes.filter(pc.is_in(found.nodes["node"], value_set=found.members))
    counts = Counts(pc.count_distinct(of_members["person_id"]).as_py(), len(found.members), len(edges) - refused - decided, refused, decided)
    graph = Graph(
        [labels.node(name) for name in names], [edge for edge in joined if edge.reason is None], [edge for edge in joined if edge.reason], counts, len(edges) > limit
    )
    person = found.person(node)
    others = pc.sum(pc.equal(of_members["person_id"], person)).as_py() - 1
    return Explained(person, labels.node(node), _why_he(labels.called(node), found.isolated(node), others, counts), graph)


def _why_he(called: str, isolated: str | None, others: int, counts: Counts) -> str:
    if isolated:
        return f"{called} is {isolated}: {ISOLATED[isolated]}; it is a person of its own and keeps the events it owns"
    apart = f"; {_counted(counts.refused)} refused" if counts.refused else ""
    if not others:
        return f"nothing joins {called} to another identifier{apart}"
    return f"{called} is one person with {others} other identifier{'s' if others > 1 else ''}: {_counted(counts.edges)} accepted{_deciding(counts.decided)}{apart}"


def _deciding(pairs: int) -> str:
    return f", {pairs} pair{'s' if pairs > 1 else ''} joined by decision" if pairs else ""


def _counted(edges: int) -> str:
    return "1 edge is" if edges == 1 else f"{edges} edges are"


def _nearest(edges: pa.Table, node: str) -> pa.Table:
    """By distance from the node, those that join first, then by age."""
    if not len(edges):
        return edges
    ways = Ways(edges)
    far = ways.distances(node)
    position = edges["first_seen"].combine_chunks()
    ages = [pc.fill_null(position.field(name), -1).to_numpy() for name in ("offset", "partition", "epoch")]
    order = np.lexsort((ways.right, ways.left, *ages, edges["reason"].is_valid().to_numpy(), np.minimum(far[ways.left], far[ways.right])))
    return edges.take(pa.array(order))


def connection(source: PinnedEdges, a: str, b: str) -> Connection:
    """Whether two nodes that have been seen are one person: the shortest way of accepted edges, else the shortest way of all."""
    found = surroundings(source, [a, b])
    same = found.person(a) == found.person(b)
    if same:
        way = Ways(found.edges.filter(found.edges["reason"].is_null())).shortest(a, b) if a != b else [a]
    else:
        way = Ways(found.edges).shortest(a, b)
        if way is None or len(way) - 1 > _sure(source, found):
            way = Ways(_all_pairs(source)).shortest(a, b)
        found = surroundings(source, way) if way and set(way) > {a, b} else found
    if same and way is None:
        raise CoverageError("decisions that contradict each other make them one person; withdraw one of them")
    labels = Labels(source, found, {a, b, *(way or [])})
    path = [labels.edge(row) for row in _along(found, way or [])]
    return Connection(same, _why_both(labels.called(a), labels.called(b), same, path), labels.node(a), labels.node(b), path)


def _all_pairs(source: PinnedEdges) -> pa.Table:
    """Pairs of all edges, and those that decisions join."""
    pairs, joined = source.pairs(), source.joined()
    if not len(joined):
        return pairs
    seen = ends(pairs)
    return pa.concat_tables([pairs, joined.filter(pc.and_(pc.is_in(joined["a"], value_set=seen), pc.is_in(joined["b"], value_set=seen)))])


def _sure(source: PinnedEdges, found: Surroundings) -> int:
    """The longest way between those asked for that is a shortest one of all edges when it is one of those read."""
    beside_barred = pc.any(pc.is_in(ends(found.edges), value_set=source.barred)).as_py()
    return NEARER if beside_barred or any(map(found.isolated, found.asked)) else NEAR


def _along(found: Surroundings, way: list[str]) -> list[dict[str, Any]]:
    """The edges of a way, in its order."""
    pairs = [tuple(sorted(pair)) for pair in pairwise(way)]
    on_way = pa.array(way, pa.string())
    rows = found.edges.filter(pc.and_(pc.is_in(found.edges["a"], value_set=on_way), pc.is_in(found.edges["b"], value_set=on_way))).to_pylist()
    by_pair = {(row["a"], row["b"]): row for row in rows}
    return [by_pair[pair[0], pair[1]] for pair in pairs]


def _why_both(a: str, b: str, same: bool, path: list[Edge]) -> str:
    if same and not path:
        return f"{a} is one identifier"
    if same:
        decided = [f"decision {edge.decision}" for edge in path if edge.decision is not None]
        edges = sum(edge.decision is None for edge in path)
        ways = [*decided, *([f"{edges} accepted edge{'s' if edges > 1 else ''}"] if edges else [])]
        return f"{a} and {b} are one person: {' and '.join(ways)} {'leads' if len(ways) == 1 and edges < 2 else 'lead'} from one to the other"
    if not path:
        return f"{a} and {b} are two persons: nothing connects them"
    refused = [edge for edge in path if edge.reason]
    reasons = "; ".join(dict.fromkeys(f"{edge.reason}: {edge.because}" for edge in refused))
    return f"{a} and {b} are two persons: {len(refused)} of {len(path)} edges on the shortest way between them are refused ({reasons})"


def supernodes(source: PinnedEdges, limit: int) -> tuple[list[SuperNode], dict[str, int]]:
    """The most linked identifiers, whether they join others or not; and the number of isolated ones by reason."""
    found, isolated = most_linked(source, limit)
    shown = sorted({name for one in found for name in (one.node, *one.sample)})
    names, hints = short_names(shown), hints_of(source, shown)
    return [
        SuperNode(
            names[one.node], namespace_of(one.node), hints.get(one.node), sum(one.by_namespace.values()), one.by_namespace, one.isolated,
            ISOLATED[one.isolated] if one.isolated else "it joins those it was seen with, as far as the rules allow",
            [End(names[other], namespace_of(other), hints.get(other)) for other in one.sample],
        )
        for one in found
    ], isolated  # fmt: skip
