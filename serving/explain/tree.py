"""An explanation as a tree for a terminal: from the identifier along accepted edges, refused ones as leaves with their reason."""

from rich.text import Text
from rich.tree import Tree

from serving.explain.answers import Edge, End, Explanation, Node

MOST_REFUSED = 8
"""Refused edges of an identifier that are listed."""


def tree_of(found: Explanation) -> Tree:
    """Each identifier of the person once, below the one that it was reached from first."""
    nodes = {node.node: node for node in found.graph.nodes}
    top = Tree(_named(nodes[found.identifier.node]) + Text(f"  {found.person_id}", "dim"))
    branches = {found.identifier.node: top}
    waiting = [found.identifier.node]
    joins, refused = _by_end(found.graph.edges), _by_end(found.graph.refused)
    for name in waiting:
        for edge, other in joins.get(name, []):
            if other.node not in branches:
                branches[other.node] = branches[name].add(_named(nodes[other.node]) + Text(f"  {_evidence(edge)}", "dim"))
                waiting.append(other.node)
    for name, branch in branches.items():
        apart = refused.get(name, [])
        for edge, other in apart[:MOST_REFUSED]:
            branch.add(Text("✗ ", "red") + _named(nodes[other.node]) + Text(f"  refused: {edge.reason}", "red") + Text(f", {_evidence(edge)}", "dim"))
        if len(apart) > MOST_REFUSED:
            branch.add(Text(f"✗ … and {len(apart) - MOST_REFUSED} more that are refused", "red"))
    if found.graph.truncated:
        top.add(Text("… the component has more edges than are shown", "dim"))
    return top


def _by_end(edges: list[Edge]) -> dict[str, list[tuple[Edge, End]]]:
    found: dict[str, list[tuple[Edge, End]]] = {}
    for edge in edges:
        found.setdefault(edge.a.node, []).append((edge, edge.b))
        found.setdefault(edge.b.node, []).append((edge, edge.a))
    return found


def _named(node: Node) -> Text:
    text = Text(f"{node.namespace} ") + Text(node.value or "•••", "bold") + Text(f" [{node.node.partition(':')[2]}]", "dim")
    return text + Text(f" {node.isolated}, seen with {node.linked:,} others", "yellow") if node.isolated else text


def _evidence(edge: Edge) -> str:
    if edge.first_seen is None:
        return f"decision {edge.decision}, {edge.first_at[:10]}"
    return f"seen {edge.seen_count}×, first {edge.first_at[:10]} (epoch {edge.first_seen.epoch}), {edge.layer}"
