"""Who is one person: merged edges and the tenant's rules in, a person for each node and a verdict on each edge out. Batch and the store call it.

A pure function of the set of edges: neither their order nor how often a row comes matters. Blocked nodes join nobody; a value that is linked to
several values of a unique namespace is shared and joins nobody; connected components of what is left are persons. Only components that break
``unique`` or ``limit`` are put together again edge by edge, in the one order of ``_replay``, and an edge that would break a rule is refused (ADR 0010).
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from millrace.identity import person_id
from millrace.identity_rules import Rules
from millrace.node_codes import codes_of
from millrace.positions import ages_of
from millrace.tables import NODES

REASONS = (None, "blocked", "shared", "unique", "limit")
"""Why an edge does not join, by the number a verdict gives; the first two also say why a node is isolated."""
_ACCEPTED, BLOCKED, SHARED, _UNIQUE, _LIMIT = range(len(REASONS))


class Verdict(NamedTuple):
    """For each node its component (what the edges join before limits are looked at), its person and the number of the reason why it is isolated;
    for each edge the number of the reason why it is refused. An edge that is neither blocked nor shared never leaves a component."""

    component: np.ndarray
    person: np.ndarray
    isolated: np.ndarray
    refused: np.ndarray


class Resolution(NamedTuple):
    """Rows of tables.NODES, sorted by node, and for each row of the edges the reason why it is refused; null for one that joins."""

    nodes: pa.Table
    refused: pa.Array


def resolve(edges: pa.Table, rules: Rules) -> Resolution:
    """Persons and verdicts. In: a, b, hint_a, hint_b, first_seen of tables.EDGES. The anchor of a person is the member with the smallest
    (first_seen, node), refused edges included: a person's id does not depend on what he was joined with later, unless it was older."""
    if not len(edges):
        return Resolution(NODES.empty_table(), pa.array([], pa.string()))
    names, codes = codes_of(pa.chunked_array([*edges["a"].chunks, *edges["b"].chunks]))
    left, right = np.split(codes, 2)
    hints = pa.chunked_array([*edges["hint_a"].chunks, *edges["hint_b"].chunks])
    age, position = ages_of(edges["first_seen"].combine_chunks())
    with ThreadPoolExecutor(1) as beside:
        smallest = beside.submit(_smallest_hints, hints, codes, len(names))
        found = judge(names, (left, right, age), rules)
        first = np.full(len(names), np.iinfo(np.int64).max)
        np.minimum.at(first, left, age)
        np.minimum.at(first, right, age)
    anchor = _oldest(found.person, first)
    ids = _person_ids(names.take(pa.array(anchor)))
    person = component = ids.take(pa.array(found.person))
    if found.component is not found.person:
        component = ids.take(pa.array(found.person[_oldest(found.component, first)][found.component]))
    columns = {
        "node": names, "person_id": person, "component": component, "isolated": _named(found.isolated),
        "hint": smallest.result(), "first_seen": position(first),
    }  # fmt: skip
    return Resolution(pa.Table.from_arrays([columns[name] for name in NODES.names], schema=NODES), _named(found.refused))


def judge(names: pa.Array, edges: tuple[np.ndarray, np.ndarray, np.ndarray], rules: Rules) -> Verdict:
    """The verdict on edges given as numbers of ``names`` (sorted, each once) and their age (a number that is smaller for an earlier first sight)."""
    left, right, age = edges
    space, cap = _namespaces(names, rules), _caps(rules)
    isolated = np.where(pc.is_in(names, value_set=pa.array(sorted(rules.blocked), pa.string())).to_numpy(zero_copy_only=False), BLOCKED, 0).astype(np.int8)
    refused, apart = np.zeros(len(left), np.int8), left != right
    if isolated.any():
        refused[apart & ((isolated[left] != 0) | (isolated[right] != 0))] = BLOCKED
    shared = _shared(left, right, apart & (refused == 0), space, rules)
    if len(shared):
        isolated[shared] = SHARED
        refused[apart & (refused == 0) & ((isolated[left] != 0) | (isolated[right] != 0))] = SHARED
    twins = apart & (refused == 0) & (space[left] == space[right]) & (cap[space[left]] == 1)
    refused[twins] = _reasons(rules)[space[left[twins]]]
    joins = np.flatnonzero(apart & (refused == 0))
    ones = np.ones(len(joins), dtype=np.int8)
    count, component = connected_components(coo_matrix((ones, (left[joins], right[joins])), shape=(len(names), len(names))), directed=False)
    broken = np.zeros(count, dtype=bool)
    for number in np.flatnonzero(cap[:-1] < len(names)):
        broken |= np.bincount(component[space == number], minlength=count) > cap[number]
    if not broken.any():
        return Verdict(component, component, isolated, refused)
    again = joins[broken[component[left[joins]]]]
    inside, roots, refused[again] = _replay((left[again], right[again], age[again]), space, rules)
    person = component.astype(np.int64)
    person[inside] = count + roots
    return Verdict(component, np.unique(person, return_inverse=True)[1], isolated, refused)


def _shared(left: np.ndarray, right: np.ndarray, among: np.ndarray, space: np.ndarray, rules: Rules) -> np.ndarray:
    """Nodes of other namespaces that are linked to as many distinct values of one unique namespace as their own namespace says."""
    unique, least = np.array([*rules.unique, False]), np.array([*(most or np.iinfo(np.int64).max for most in rules.shared_from), 2])
    one_way, other_way = (np.flatnonzero(among & unique[space[to]] & ~unique[space[of]]) for of, to in ((left, right), (right, left)))
    node, value = np.r_[left[one_way], right[other_way]], np.r_[right[one_way], left[other_way]]
    several = np.bincount(node, minlength=len(space))[node] >= least[space[node]]
    node, value = node[several], value[several]
    pairs = np.unique(node * len(space) + value)
    node, value = pairs // len(space), pairs % len(space)
    found, counts = np.unique(node * len(unique) + space[value], return_counts=True)
    node = found // len(unique)
    return np.unique(node[counts >= least[space[node]]])


def _replay(edges: tuple[np.ndarray, np.ndarray, np.ndarray], space: np.ndarray, rules: Rules) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joins edge by edge: those of the most trusted namespaces first, then by age, then by node. Returns the nodes, their roots, and a verdict on each edge."""
    left, right, age = edges
    nodes, ends = np.unique(np.r_[left, right], return_inverse=True)
    space, (left, right) = space[nodes], np.split(ends, 2)
    low, high = np.minimum(left, right), np.maximum(left, right)
    trusted, less = np.sort(np.stack([space[low], space[high]]), axis=0)
    order = np.lexsort((high, low, age, less, trusted))
    _, first, pair = np.unique((low * len(nodes) + high)[order], return_index=True, return_inverse=True)
    caps, reasons = _caps(rules).tolist(), _reasons(rules).tolist()
    counted = [(most, reason, dict.fromkeys(np.flatnonzero(space == number).tolist(), 1)) for number, (most, reason) in enumerate(zip(caps, reasons, strict=True))]
    counted = [one for one in counted if one[0] < len(nodes)]
    parent, verdicts = list(range(len(nodes))), np.zeros(len(first), np.int8)
    in_turn = np.argsort(first)
    turns = order[first[in_turn]]
    for at, one, other in zip(in_turn.tolist(), low[turns].tolist(), high[turns].tolist(), strict=True):
        one, other = _root(parent, one), _root(parent, other)
        if one == other:
            continue
        if reason := next((reason for most, reason, have in counted if have.get(one, 0) + have.get(other, 0) > most), None):
            verdicts[at] = reason
            continue
        parent[other] = one
        for _, _, have in counted:
            if found := have.pop(other, 0):
                have[one] = have.get(one, 0) + found
    refused = np.empty(len(order), np.int8)
    refused[order] = verdicts[pair]
    return nodes, np.array([_root(parent, node) for node in range(len(parent))]), refused


def _root(parent: list[int], node: int) -> int:
    while parent[node] != node:
        parent[node] = node = parent[parent[node]]
    return node


def _namespaces(names: pa.Array, rules: Rules) -> np.ndarray:
    """Number of the namespace of each node; one more than the last for a namespace without rules."""
    found = np.full(len(names), len(rules.namespaces))
    for number, namespace in enumerate(rules.namespaces):
        found[pc.starts_with(names, f"{namespace}:").to_numpy(zero_copy_only=False)] = number
    return found


def _caps(rules: Rules) -> np.ndarray:
    return np.array([*(np.iinfo(np.int64).max if cap is None else cap for cap in rules.caps), np.iinfo(np.int64).max])


def _reasons(rules: Rules) -> np.ndarray:
    """What an edge that breaks the cap of a namespace is refused with."""
    return np.array([*(_UNIQUE if unique else _LIMIT for unique in rules.unique), _LIMIT], np.int8)


def _oldest(labels: np.ndarray, first: np.ndarray) -> np.ndarray:
    """For each label the one of its nodes with the smallest (first, number)."""
    earliest = np.full(int(labels.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(earliest, labels, first)
    of_that_age = np.flatnonzero(first == earliest[labels])[::-1]
    found = np.empty(len(earliest), dtype=np.int64)
    found[labels[of_that_age]] = of_that_age
    return found


def _person_ids(anchors: pa.Array) -> pa.Array:
    return pa.array([person_id(anchor) for anchor in anchors.to_pylist()], pa.string())


def _smallest_hints(hints: pa.ChunkedArray, codes: np.ndarray, count: int) -> pa.Array:
    """One hint for each node, the smallest when rows disagree."""
    encoded = hints.dictionary_encode()
    kinds = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.string())
    order = pc.array_sort_indices(kinds).to_numpy()
    rank = np.full(len(kinds) + 1, len(kinds))
    rank[order] = np.arange(len(kinds))
    numbers = pa.chunked_array([chunk.indices for chunk in encoded.chunks], pa.int32())
    smallest = np.full(count, len(kinds))
    np.minimum.at(smallest, codes, rank[pc.fill_null(numbers, len(kinds)).to_numpy()])
    return kinds.take(pa.array(order)).take(pa.array(smallest, mask=smallest == len(kinds)))


def _named(reasons: np.ndarray) -> pa.Array:
    return pa.array(REASONS, pa.string()).take(pa.array(reasons))
