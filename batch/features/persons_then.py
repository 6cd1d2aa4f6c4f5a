"""Who somebody was when it was known: edges of whole regions and questions about their nodes in, the nodes of the person each question is about out.

The edges known at a head are those first seen by then: what an edge is does not change afterwards. Each set of edges that questions of a region stand on is a world
of its own, and all worlds of a partition are judged in one call of the function that judges the whole graph (millrace/identity/verdicts.py). historical.py calls ``members_then``.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.features.knowledge import PLACE, Decided
from millrace.identity.decisions import Decisions, Pair, pair_of
from millrace.identity.node_codes import codes_of
from millrace.identity.rules import Rules
from millrace.identity.verdicts import judge
from millrace.tables.catalogue import POSITION, TIME
from millrace.tables.positions import ages_of

QUESTION = pa.schema([("asked", pa.string()), ("at", TIME), ("known_at", TIME)])
"""What is asked: a node, at an instant, as known at another."""
ASKED = pa.schema([*QUESTION, *PLACE])
MEMBERS = pa.schema([*ASKED, ("node", pa.string())])
"""A question and one node of the person it is about; a question about somebody nobody had seen has none."""
REGION = pa.schema([("region", pa.int64()), ("a", pa.string()), ("b", pa.string()), ("first_seen", POSITION), *ASKED])
"""A row is an edge or a question; what belongs to the other is null."""
EDGES_AT_ONCE = 500_000
"""Edges of worlds that are judged together."""


class _Edges(NamedTuple):
    """Edges in order of (region, epoch): ends by number, age, and the number by which regions and epochs are found."""

    left: np.ndarray
    right: np.ndarray
    age: np.ndarray
    place: np.ndarray


def members_then(rows: pa.Table, rules: Rules, decided: Decided, *, at_once: int = EDGES_AT_ONCE) -> pa.Table:
    """Rows of MEMBERS in no order. In: rows of REGION, every region whole."""
    is_edge = rows["a"].is_valid()
    seen, asked = rows.filter(is_edge), rows.filter(pc.invert(is_edge))
    if not len(seen) or not len(asked):
        return MEMBERS.empty_table()
    names, codes = codes_of(pa.chunked_array([chunk for name, of in (("a", seen), ("b", seen), ("asked", asked)) for chunk in of[name].chunks], pa.string()))
    left, right, node = np.split(codes, [len(seen), 2 * len(seen)])
    _, region = np.unique(np.r_[seen["region"].to_numpy(), asked["region"].to_numpy()], return_inverse=True)
    first_seen = seen["first_seen"].combine_chunks()
    epoch, head = first_seen.field("epoch").to_numpy(), asked["head"].to_numpy()
    base = int(max(epoch.max(), head.max())) + 1
    place = region[: len(seen)] * base + epoch
    order = np.argsort(place, kind="stable")
    edges = _Edges(left[order], right[order], ages_of(first_seen)[0][order], place[order])
    start = np.searchsorted(edges.place, region[len(seen) :] * base)
    length = np.searchsorted(edges.place, region[len(seen) :] * base + head, side="right") - start
    worlds, world = np.unique(np.stack([start, length, asked["decisions"].to_numpy()], axis=1), axis=0, return_inverse=True)
    world = world.reshape(-1)
    parts, by_world = [MEMBERS.empty_table()], np.argsort(world, kind="stable")
    for first, until in _slices(worlds[:, 1], at_once):
        here = by_world[np.searchsorted(world[by_world], first) : np.searchsorted(world[by_world], until)]
        question, member = _judged(worlds[first:until], edges, names, (world[here] - first, node[here]), rules=rules, decided=decided)
        found = asked.select(ASKED.names).take(pa.array(here[question]))
        parts.append(found.append_column("node", names.take(pa.array(member))).cast(MEMBERS))
    return pa.concat_tables(parts)


def _slices(lengths: np.ndarray, at_once: int) -> list[tuple[int, int]]:
    """Runs of worlds with about so many edges together."""
    number = np.cumsum(lengths) // at_once
    starts = np.flatnonzero(np.r_[True, number[1:] != number[:-1]])
    return list(zip(starts.tolist(), [*starts[1:].tolist(), len(lengths)], strict=True))


def _judged(
    worlds: np.ndarray, edges: _Edges, names: pa.Array, asked: tuple[np.ndarray, np.ndarray], *, rules: Rules, decided: Decided
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Pairs (question, number of a member), from the world and the node of each question. A node of a world is judged under a name of its own; names sort inside a
    world as they do outside."""
    starts, lengths, decisions = worlds.T
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    at, world = np.repeat(starts, lengths) + within, np.repeat(np.arange(len(worlds)), lengths)
    nodes, ends = np.unique(np.r_[world, world] * len(names) + np.r_[edges.left[at], edges.right[at]], return_inverse=True)
    if not len(nodes):
        return ends, ends
    copies = pc.binary_join_element_wise(names.take(pa.array(nodes % len(names))), pa.array(nodes // len(names)).cast(pa.string()), "#")
    apart = replace(rules, blocked=_named(nodes, copies, names, frozenset(rules.blocked)))
    left, right = np.split(ends, 2)
    person = judge(copies, (left, right, edges.age[at]), apart, _decisions(decisions, nodes, names, decided)).person
    wanted = asked[0] * len(names) + asked[1]
    found = np.minimum(np.searchsorted(nodes, wanted), len(nodes) - 1)
    known = np.flatnonzero(nodes[found] == wanted)
    by_person = np.argsort(person, kind="stable")
    first, last = (np.searchsorted(person[by_person], person[found[known]], side=side) for side in ("left", "right"))
    question = np.repeat(known, last - first)
    member = np.repeat(first, last - first) + np.arange(len(question)) - np.repeat(np.cumsum(last - first) - (last - first), last - first)
    return question, nodes[by_person[member]] % len(names)


def _named(nodes: np.ndarray, copies: pa.Array, names: pa.Array, among: frozenset[str]) -> frozenset[str]:
    """The names that some nodes have in the worlds."""
    is_one = pc.is_in(names, value_set=pa.array(sorted(among), pa.string())).to_numpy(zero_copy_only=False)
    return frozenset(copies.filter(pa.array(is_one[nodes % len(names)])).to_pylist())


def _decisions(numbers: np.ndarray, nodes: np.ndarray, names: pa.Array, decided: Decided) -> Decisions:
    """The decisions of each world under the names there; those about nodes that are not there do not count."""
    joined: set[Pair] = set()
    parted: set[Pair] = set()
    removed: set[str] = set()
    for number in np.unique(numbers[numbers > 0]).tolist():
        stand = decided.upto(number)
        number_of = {name: code for name, code in zip(sorted(stand.nodes), pc.index_in(pa.array(sorted(stand.nodes), pa.string()), value_set=names).to_pylist(), strict=True)}
        worlds = np.flatnonzero(numbers == number)
        there = {name: set(worlds[np.isin(worlds * len(names) + code, nodes)].tolist()) for name, code in number_of.items() if code is not None}
        removed |= {f"{name}#{world}" for name in stand.removed for world in there.get(name, ())}
        for pairs, chosen in ((stand.joined, joined), (stand.parted, parted)):
            chosen |= {pair_of(f"{a}#{world}", f"{b}#{world}") for a, b in pairs for world in there.get(a, set()) & there.get(b, set())}
    return Decisions(1 if joined or parted or removed else 0, frozenset(joined), frozenset(parted), frozenset(removed))
