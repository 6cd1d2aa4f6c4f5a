"""The verdict on edges: which nodes they join into persons and which of them are refused, by the rules of a tenant and what people decided. resolution.py and the store call it.

A function of the set of edges, in five steps (ADR 0010): blocked, removed and crowded nodes join nobody; values that an alias or a decision calls one are one
value; a value linked to several values of a unique namespace is shared and joins nobody; connected components of what is left; only those that break a
limit or hold a parted pair are put together again edge by edge, in the one order of ``_replay``, and an edge that would break a rule is refused.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from millrace.identity.crowds import counted_from, linked_to
from millrace.identity.decisions import UNDECIDED, Decisions, Pair
from millrace.identity.groups import ACCEPTED, Groups
from millrace.identity.rules import ANY_NUMBER, Rules

REASONS = (None, "blocked", "removed", "crowded", "shared", "unique", "limit", "parted")
"""Why an edge does not join, by the number a verdict gives; the first four also say why a node is isolated."""
_, BLOCKED, REMOVED, CROWDED, SHARED, _UNIQUE, _LIMIT, _ = range(len(REASONS))
_FAR = np.iinfo(np.int64).max


class Verdict(NamedTuple):
    """For each node its component (what the edges join before limits are looked at), its person, the number of the reason why it is isolated, and the
    node that stands for it where several values are one, and how many others it was seen with where these are many (crowds.py); for each edge the number of
    the reason why it is refused."""

    component: np.ndarray
    person: np.ndarray
    isolated: np.ndarray
    value: np.ndarray
    linked: np.ndarray
    refused: np.ndarray


class _Graph(NamedTuple):
    """Edges by number of their ends, decided joins at the end: ``decided`` of them. ``parted``: pairs of nodes by number."""

    left: np.ndarray
    right: np.ndarray
    age: np.ndarray
    is_decided: np.ndarray
    parted: np.ndarray


def judge(
    names: pa.Array, edges: tuple[np.ndarray, np.ndarray, np.ndarray], rules: Rules, decisions: Decisions = UNDECIDED, crowded: frozenset[str] = frozenset()
) -> Verdict:
    """The verdict on edges given as numbers of ``names`` (sorted, each once) and their age (a number that is smaller for an earlier first sight).
    Decisions about nodes that are not among the names do not count. ``crowded``: nodes that are crowded by edges that are not given, if any."""
    space, caps = _namespaces(names, rules), _caps(rules)
    graph = _with_decisions(names, edges, decisions)
    isolated = np.zeros(len(names), np.int8)
    isolated[_among(names, rules.blocked)] = BLOCKED
    linked = _linked(edges, isolated, space, rules)
    over = (linked >= np.array([*(most or _FAR for most in rules.crowded_from), _FAR])[space]) | _among(names, crowded)
    isolated[over & (isolated == 0) & ~_among(names, frozenset(node for pair in decisions.joined for node in pair))] = CROWDED
    isolated[_among(names, decisions.removed)] = REMOVED
    refused = np.where(graph.left != graph.right, np.maximum(isolated[graph.left], isolated[graph.right]), 0).astype(np.int8)
    value = _values(graph, refused, space, rules)
    graph = graph._replace(left=value[graph.left], right=value[graph.right])
    refused[graph.left == graph.right] = ACCEPTED
    shared = _shared(graph, refused, space, rules)
    isolated[shared] = SHARED
    alone = isolated == SHARED
    refused[(graph.left != graph.right) & (refused == 0) & (alone[graph.left] | alone[graph.right])] = SHARED
    joins = np.flatnonzero((graph.left != graph.right) & (refused == 0))
    count, component = _components(len(names), graph.left[joins], graph.right[joins])
    broken, stands = np.zeros(count, dtype=bool), value == np.arange(len(names))
    for number in np.flatnonzero(caps[:-1] < len(names)):
        broken |= np.bincount(component[(space == number) & stands], minlength=count) > caps[number]
    apart = component[value[graph.parted]]
    broken[apart[apart[:, 0] == apart[:, 1], 0]] = True
    person = component.astype(np.int64)
    if broken.any():
        again = joins[broken[component[graph.left[joins]]]]
        inside, roots, refused[again] = _replay(graph, again, value, space, rules)
        person[inside] = count + roots
    return Verdict(_numbered(component[value]), _numbered(person[value]), isolated, value, linked, refused[: len(edges[0])])


def _linked(edges: tuple[np.ndarray, np.ndarray, np.ndarray], isolated: np.ndarray, space: np.ndarray, rules: Rules) -> np.ndarray:
    least = np.array([*map(counted_from, rules.crowded_from), ANY_NUMBER])
    return linked_to(edges[0], edges[1], isolated != BLOCKED, least[space])


def _with_decisions(names: pa.Array, edges: tuple[np.ndarray, np.ndarray, np.ndarray], decisions: Decisions) -> _Graph:
    joined, parted = (_numbers(names, pairs) for pairs in (decisions.joined, decisions.parted))
    left, right, age = edges
    is_decided = np.r_[np.zeros(len(left), dtype=bool), np.ones(len(joined), dtype=bool)]
    return _Graph(np.r_[left, joined[:, 0]], np.r_[right, joined[:, 1]], np.r_[age, np.zeros(len(joined), np.int64)], is_decided, parted)


def _numbers(names: pa.Array, pairs: frozenset[Pair]) -> np.ndarray:
    """Pairs whose nodes are both among the names, as numbers of them."""
    if not pairs:
        return np.empty((0, 2), np.int64)
    found = [pc.fill_null(pc.index_in(pa.array(ends, pa.string()), value_set=names), -1).to_numpy().astype(np.int64) for ends in zip(*sorted(pairs), strict=True)]
    numbers = np.stack(found, axis=1)
    return numbers[(numbers >= 0).all(axis=1)]


def _among(names: pa.Array, nodes: frozenset[str]) -> np.ndarray:
    if not nodes:
        return np.zeros(len(names), dtype=bool)
    return np.asarray(pc.is_in(names, value_set=pa.array(sorted(nodes), pa.string())).to_numpy(zero_copy_only=False), dtype=bool)


def _values(graph: _Graph, refused: np.ndarray, space: np.ndarray, rules: Rules) -> np.ndarray:
    """For each node the first of the nodes that are one value with it: values of a unique namespace that an alias joins, or a decision, also by way of other
    nodes. Marks aliases that are refused: those of more values than ``aliases`` allows, and those that would join a parted pair."""
    value, unique = np.arange(len(space)), np.array([*rules.unique, False])
    apart = (graph.left != graph.right) & (refused == 0)
    twins = apart & (space[graph.left] == space[graph.right]) & unique[space[graph.left]] & ~graph.is_decided
    if not twins.any() and not graph.is_decided.any():
        return value
    decided = np.flatnonzero(apart & graph.is_decided)
    count, group = _components(len(space), graph.left[twins], graph.right[twins])
    most = np.array([*rules.aliases, 0])
    crowded = twins & (np.bincount(group, minlength=count)[group[graph.left]] > most[space[graph.left]])
    refused[crowded] = np.where(most[space[graph.left[crowded]]] > 1, _LIMIT, _UNIQUE)
    taken = np.r_[decided, np.flatnonzero(twins & ~crowded)]
    _, group = _components(len(space), graph.left[taken], graph.right[taken])
    if len(graph.parted) and (group[graph.parted[:, 0]] == group[graph.parted[:, 1]]).any():
        order = taken[np.lexsort((*_by_trust(graph.left[taken], graph.right[taken], graph.age[taken], space), ~graph.is_decided[taken]))]
        groups = Groups(len(space), graph.parted)
        refused[order] = [groups.join(one, other, is_decided=True) for one, other in zip(graph.left[order].tolist(), graph.right[order].tolist(), strict=True)]
        group = groups.roots()
    is_unique = np.flatnonzero(unique[space])
    first = np.full((int(group.max()) + 1) * len(unique), len(space))
    place = group[is_unique] * len(unique) + space[is_unique]
    np.minimum.at(first, place, is_unique)
    value[is_unique] = first[place]
    return value


def _shared(graph: _Graph, refused: np.ndarray, space: np.ndarray, rules: Rules) -> np.ndarray:
    """Nodes of other namespaces that are linked to as many distinct values of one unique namespace as their own namespace says. A node that a decision
    joined with another is not shared: the decision says whose it is."""
    unique, least = np.array([*rules.unique, False]), np.array([*(most or _FAR for most in rules.shared_from), 2])
    among = (graph.left != graph.right) & (refused == 0)
    pairs = ((graph.left, graph.right), (graph.right, graph.left))
    ways = [np.flatnonzero(among & unique[space[to]] & ~unique[space[of]]) for of, to in pairs]
    node, value = (np.concatenate([pair[end][way] for pair, way in zip(pairs, ways, strict=True)]) for end in (0, 1))
    several = np.bincount(node, minlength=len(space))[node] >= least[space[node]]
    found = np.unique(node[several] * len(space) + value[several])
    node, value = found // len(space), found % len(space)
    counted, counts = np.unique(node * len(unique) + space[value], return_counts=True)
    node = counted // len(unique)
    shared = np.unique(node[counts >= least[space[node]]])
    decided = graph.is_decided & (refused == 0)
    return shared[~np.isin(shared, np.r_[graph.left[decided], graph.right[decided]])]


def _replay(graph: _Graph, among: np.ndarray, value: np.ndarray, space: np.ndarray, rules: Rules) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joins edge by edge: decided ones first, then those of the most trusted namespaces, then by age, then by node. Returns the nodes, their roots, and a
    verdict on each edge."""
    nodes, ends = np.unique(np.r_[graph.left[among], graph.right[among]], return_inverse=True)
    space, (left, right), is_decided = space[nodes], np.split(ends, 2), graph.is_decided[among]
    low, high = np.minimum(left, right), np.maximum(left, right)
    order = np.lexsort((*_by_trust(low, high, graph.age[among], space), ~is_decided))
    _, first, pair = np.unique((low * len(nodes) + high)[order], return_index=True, return_inverse=True)
    parted = value[graph.parted]
    parted = np.searchsorted(nodes, parted[np.isin(parted, nodes).all(axis=1)])
    groups, verdicts = Groups(len(nodes), parted, space=space, caps=_caps(rules), reasons=_reasons(rules)), np.zeros(len(first), np.int8)
    in_turn = np.argsort(first)
    turns = order[first[in_turn]]
    for at, one, other, decided in zip(in_turn.tolist(), low[turns].tolist(), high[turns].tolist(), is_decided[turns].tolist(), strict=True):
        verdicts[at] = groups.join(one, other, is_decided=decided)
    refused = np.empty(len(order), np.int8)
    refused[order] = verdicts[pair]
    return nodes, groups.roots(), refused


def _by_trust(left: np.ndarray, right: np.ndarray, age: np.ndarray, space: np.ndarray) -> tuple[np.ndarray, ...]:
    """Keys of the one order of edges, the weightiest last, as lexsort wants them."""
    low, high = np.minimum(left, right), np.maximum(left, right)
    trusted, less = np.sort(np.stack([space[low], space[high]]), axis=0)
    return high, low, age, less, trusted


def _components(count: int, left: np.ndarray, right: np.ndarray) -> tuple[int, np.ndarray]:
    found: tuple[int, np.ndarray] = connected_components(coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(count, count)), directed=False)
    return found


def _numbered(labels: np.ndarray) -> np.ndarray:
    """The labels as numbers without gaps."""
    used = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.int64)
    used[labels] = 1
    return (np.cumsum(used) - 1)[labels]


def _namespaces(names: pa.Array, rules: Rules) -> np.ndarray:
    """Number of the namespace of each node; one more than the last for a namespace without rules."""
    found = np.full(len(names), len(rules.namespaces))
    for number, namespace in enumerate(rules.namespaces):
        found[pc.starts_with(names, f"{namespace}:").to_numpy(zero_copy_only=False)] = number
    return found


def _caps(rules: Rules) -> np.ndarray:
    return np.array([*(_FAR if cap is None else cap for cap in rules.caps), _FAR])


def _reasons(rules: Rules) -> np.ndarray:
    """What an edge that breaks the cap of a namespace is refused with."""
    return np.array([*(_UNIQUE if unique else _LIMIT for unique in rules.unique), _LIMIT], np.int8)
