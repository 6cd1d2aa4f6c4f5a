"""A batch version's nodes in memory, as the store asks for them: what the batch layer's resolution says of the edges up to a cut."""

import pyarrow as pa

from millrace.identity.decisions import UNDECIDED, Decisions
from millrace.identity.resolution import resolve
from millrace.identity.rules import Rules
from serving.store.batch_base import Edge, Member, Place


class BatchNodes:
    """``edges`` may hold a pair several times."""

    def __init__(self, edges: pa.Table, rules: Rules, decisions: Decisions = UNDECIDED) -> None:
        rows = resolve(edges, rules, decisions).nodes.to_pylist()
        contested = {row["component"] for row in rows if row["component"] != row["person_id"]}
        self._places = {row["node"]: Place(row["person_id"], row["component"], row["component"] in contested, row["isolated"] is not None, row["linked"] or 0) for row in rows}
        self._members = [Member(row["node"], row["hint"], **row["first_seen"]) for row in rows]
        self._edges = [Edge(row["a"], row["b"], **row["first_seen"]) for row in edges.to_pylist() if row["a"] != row["b"] and rules.blocked.isdisjoint((row["a"], row["b"]))]

    def person_of(self, node: str) -> str | None:
        return self._places[node].person_id if node in self._places else None

    def place(self, node: str) -> Place | None:
        return self._places.get(node)

    def members(self, person_id: str) -> list[Member]:
        return [member for member in self._members if self._places[member.node].person_id == person_id]

    def component(self, component: str) -> tuple[list[Member], list[Edge]]:
        members = [member for member in self._members if self._places[member.node].component == component]
        nodes = {member.node for member in members}
        return members, [edge for edge in self._edges if edge.a in nodes or edge.b in nodes]
