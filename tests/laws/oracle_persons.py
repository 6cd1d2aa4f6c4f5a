"""Who is one person, by the book: every edge in its turn, joined unless a rule forbids it. Plain Python over sets; imports no module of the product."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Position = tuple[int, int, int]
Pair = tuple[str, str]
TRUST = ("user_id", "email", "phone", "anonymous_id")


@dataclass(frozen=True)
class Rules:
    """``most``: largest number of values a person may have; a namespace with 1 in ``unique`` says "unique". ``shared_from`` None: never shared."""

    unique: frozenset[str] = frozenset({"user_id"})
    most: Mapping[str, int] | None = None
    shared_from: Mapping[str, int | None] | None = None
    blocked: frozenset[str] = frozenset()

    def cap(self, namespace: str) -> float:
        return 1 if namespace in self.unique else (self.most or {}).get(namespace, float("inf"))

    def shared(self, namespace: str) -> float:
        least = (self.shared_from or {}).get(namespace, 2)
        return float("inf") if namespace in self.unique or least is None else least


TODAY = Rules()


@dataclass
class Judged:
    """``members`` of every person by id; ``refused`` pairs with the reason; nodes that join nobody with the reason."""

    members: dict[str, frozenset[str]]
    refused: dict[Pair, str]
    isolated: dict[str, str]


def judge(sightings: Iterable[tuple[str, str, Position]], rules: Rules = TODAY) -> Judged:
    """Persons of pairs that were seen at positions, in any order, any number of times."""
    first: dict[str, Position] = {}
    pairs: dict[Pair, Position] = {}
    for one, other, position in sightings:
        for node in (one, other):
            first[node] = min(first.get(node, position), position)
        if one != other:
            pair = (min(one, other), max(one, other))
            pairs[pair] = min(pairs.get(pair, position), position)
    isolated = {node: "blocked" for node in first if node in rules.blocked}
    refused = {pair: "blocked" for pair in pairs if isolated.keys() & pair}
    linked = defaultdict(set)
    for one, other in pairs.keys() - refused.keys():
        linked[one].add(other)
        linked[other].add(one)
    for node, others in linked.items():
        if any(sum(namespace(other) == unique for other in others) >= rules.shared(namespace(node)) for unique in rules.unique):
            isolated[node] = "shared"
    refused |= {pair: "shared" for pair in pairs if pair not in refused and isolated.keys() & pair}
    group = {node: {node} for node in first}
    for pair in sorted(pairs.keys() - refused.keys(), key=lambda pair: (*sorted(TRUST.index(namespace(node)) for node in pair), pairs[pair], pair)):
        one, other = (group[node] for node in pair)
        if one is other:
            continue
        broken = [name for name in TRUST if sum(namespace(node) == name for node in one | other) > rules.cap(name)]
        broken = [name for name in TRUST if len({namespace(node) for node in pair}) == 1 and rules.cap(name) == 1 and namespace(pair[0]) == name] or broken
        if broken:
            refused[pair] = "unique" if broken[0] in rules.unique else "limit"
            continue
        one |= other
        group.update(dict.fromkeys(other, one))
    members = {id(nodes): frozenset(nodes) for nodes in group.values()}
    return Judged({person_id(min((first[node], node) for node in nodes)[1]): nodes for nodes in members.values()}, refused, isolated)


def namespace(node: str) -> str:
    return node.split(":")[0]


def person_id(anchor: str) -> str:
    return "p_" + hashlib.sha256(anchor.encode()).hexdigest()[:24]
