"""From verdicts to what an answer shows of them: nodes under short names, edges with their evidence, and reasons as sentences."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from millrace.errors import CoverageError
from millrace.identity.nodes import namespace_of
from millrace.identity.rules import Rules
from millrace.traits.finish import micros, time_text
from serving.explain.answers import Edge, End, Node, Seen
from serving.explain.evidence import PinnedEdges, without
from serving.explain.paths import Ways
from serving.explain.surroundings import Surroundings
from serving.explain.values import edges_around

_PAIR = ["a", "b"]
SHORTEST, STEP = 8, 4
"""Digits of a token that tell a node from others, and how many more are taken while two are the same."""
ISOLATED = {
    "blocked": "it is on the list of blocked values in identity.yml, so it joins nobody",
    "removed": "somebody decided that it joins nobody",
    "crowded": "it was seen with more others than one person has (crowded_from in identity.yml), so it joins nobody",
    "shared": "it was seen with several people's identifiers (shared_from in identity.yml), so it joins nobody",
}


class Labels:
    """Of some nodes of the surroundings."""

    def __init__(self, source: PinnedEdges, found: Surroundings, shown: Iterable[str]) -> None:
        names = pa.array(sorted(set(shown)), pa.string())
        self._rules, self._names = source.rules, short_names(names.to_pylist())
        self._linked = _degrees(found.edges, names)
        rows = found.nodes.filter(pc.is_in(found.nodes["node"], value_set=names)).to_pylist()
        self._nodes: dict[str, dict[str, Any]] = {row["node"]: row for row in rows}
        if missing := len(names) - len(rows):
            raise CoverageError(f"{missing} identifiers of an edge are not there; ask again")
        self._members = set(names.filter(pc.is_in(names, value_set=found.members)).to_pylist())
        if len(rest := without(names, found.whole)):
            linked, isolated = _apart(source, rest)
            self._linked |= linked
            for name, reason in isolated.items():
                self._nodes[name]["isolated"] = reason

    def node(self, name: str) -> Node:
        row = self._nodes[name]
        member = name in self._members
        return Node(
            self._names[name], namespace_of(name), row["hint"], self._linked[name], row["isolated"],
            row["person_id"] if member else None, Seen(**row["first_seen"]) if member else None,
        )  # fmt: skip

    def called(self, name: str) -> str:
        """A node in a sentence."""
        return " ".join(part for part in (namespace_of(name), self._nodes[name]["hint"], f"[{self._names[name].partition(':')[2]}]") if part)

    def end(self, name: str) -> End:
        return End(self._names[name], namespace_of(name), self._nodes[name]["hint"])

    def edge(self, row: dict[str, Any]) -> Edge:
        """A row of JUDGED."""
        reason = row["reason"]
        times = (time_text(micros(row[name])) if row[name] else "" for name in ("first_at", "last_at"))
        return Edge(
            self.end(row["a"]), self.end(row["b"]), "refused" if reason else "joins", reason, self._because(row), row["seen_count"],
            *times, Seen(**row["first_seen"]) if row["first_seen"] else None, row["layer"], row["decision"],
        )  # fmt: skip

    def _because(self, row: dict[str, Any]) -> str | None:
        reason = row["reason"]
        if reason is None:
            return None if row["decision"] is None else f"decision {row['decision']} says that they are one person"
        if reason in ISOLATED:
            apart = [name for name in (row["a"], row["b"]) if self.node(name).isolated == reason]
            return f"{' and '.join(map(self.called, apart)) or 'an end'}: {ISOLATED[reason]}"
        if reason == "parted" and row["decision"] is not None:
            return f"decision {row['decision']} says that they are never one person"
        if reason == "parted":
            return "somebody decided that two identifiers this would join are never one person"
        return f"together they would have {_too_many(self._rules, unique=reason == 'unique')}"


def short_names(nodes: Sequence[str]) -> dict[str, str]:
    """Namespace and as many digits of the token as tell the nodes apart, at least ``SHORTEST``."""
    for digits in range(SHORTEST, 1 << 10, STEP):
        names = {node: f"{namespace_of(node)}:{node.partition(':')[2][:digits]}" for node in nodes}
        if len(set(names.values())) == len(names):
            return names
    return {node: node for node in nodes}


def _too_many(rules: Rules, *, unique: bool) -> str:
    named = zip(rules.namespaces, rules.unique, rules.caps, strict=True)
    if unique:
        return f"more than one {' or '.join(name for name, is_unique, _ in named if is_unique)}, which is unique"
    return f"more than {' or '.join(f'{cap} of {name}' for name, is_unique, cap in named if cap is not None and not is_unique)}, which is the limit"


def _degrees(pairs: pa.Table, names: pa.Array) -> dict[str, int]:
    """How many others each of the nodes is linked to by these pairs."""
    ways = Ways(pairs)
    known = names.filter(pc.is_in(names, value_set=ways.names))
    counts = ways.linked()[pc.index_in(known, value_set=ways.names).to_numpy()]
    return dict(zip(known.to_pylist(), counts.tolist(), strict=True))


def _apart(source: PinnedEdges, rest: pa.Array) -> tuple[dict[str, int], dict[str, str | None]]:
    """Degree of nodes whose edges have not all been read, and why they are isolated: read now, for blocked and removed ones only who is linked."""
    barred = rest.filter(pc.is_in(rest, value_set=source.barred))
    judged = without(rest, barred)
    edges = edges_around(source, judged, source.touching(judged))
    pairs = [edges.select(_PAIR), source.touching(barred, columns=_PAIR), source.newer_touching(barred).select(_PAIR)]
    nodes = source.resolved(edges).nodes
    nodes = nodes.filter(pc.is_in(nodes["node"], value_set=judged))
    isolated = dict(zip(nodes["node"].to_pylist(), nodes["isolated"].to_pylist(), strict=True))
    return _degrees(pa.concat_tables(pairs), rest), isolated | {name: source.barring(name) for name in barred.to_pylist()}
