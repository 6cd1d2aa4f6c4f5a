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
    """``most``: largest number of values a person may have; a namespace with 1 in ``unique`` says "unique". ``shared_from`` None: never shared.
    ``aliases``: how many values of a unique namespace may be one. ``crowded_from``: from how many others on a value is nobody's."""

    unique: frozenset[str] = frozenset({"user_id"})
    most: Mapping[str, int] | None = None
    shared_from: Mapping[str, int | None] | None = None
    blocked: frozenset[str] = frozenset()
    aliases: int = 10
    crowded_from: Mapping[str, int | None] | None = None

    def cap(self, namespace: str) -> float:
        return 1 if namespace in self.unique else (self.most or {}).get(namespace, float("inf"))

    def shared(self, namespace: str) -> float:
        least = (self.shared_from or {}).get(namespace, 2)
        return float("inf") if namespace in self.unique or least is None else least


@dataclass(frozen=True)
class Decided:
    joined: frozenset[Pair] = frozenset()
    parted: frozenset[Pair] = frozenset()
    removed: frozenset[str] = frozenset()


TODAY = Rules()


@dataclass
class Judged:
    """``members`` of every person by id; ``refused`` pairs with the reason; nodes that join nobody with the reason."""

    members: dict[str, frozenset[str]]
    refused: dict[Pair, str]
    isolated: dict[str, str]


def judge(sightings: Iterable[tuple[str, str, Position]], rules: Rules = TODAY, decided: Decided = Decided()) -> Judged:
    """Persons of pairs that were seen at positions, in any order, any number of times."""
    first: dict[str, Position] = {}
    pairs: dict[Pair, Position] = {}
    for one, other, position in sightings:
        for node in (one, other):
            first[node] = min(first.get(node, position), position)
        if one != other:
            pair = (min(one, other), max(one, other))
            pairs[pair] = min(pairs.get(pair, position), position)
    met = {node: {other for pair in pairs if node in pair for other in pair} - {node} - rules.blocked for node in first}
    crowd = {node for node in first if len(met[node]) >= ((rules.crowded_from or {}).get(namespace(node)) or 10**9)}
    isolated = dict.fromkeys(crowd - {node for pair in decided.joined for node in pair}, "crowded")
    isolated |= {node: "removed" if node in decided.removed else "blocked" for node in first if node in decided.removed | rules.blocked}
    refused = {pair: max((isolated[node] for node in pair if node in isolated), key=["blocked", "removed", "crowded"].index) for pair in pairs if isolated.keys() & pair}
    joined = {pair for pair in decided.joined if all(node in first and node not in isolated for node in pair)}
    parted = [pair for pair in decided.parted if all(node in first for node in pair)]

    aliases = {pair for pair in pairs.keys() - refused.keys() if namespace(pair[0]) == namespace(pair[1]) and namespace(pair[0]) in rules.unique}
    for group in groups(first, sorted(aliases), [])[0].values():
        if len(group) > rules.aliases:
            refused |= {pair: "limit" if rules.aliases > 1 else "unique" for pair in aliases if set(pair) <= group}
    order = sorted(joined, key=trust) + sorted(aliases - refused.keys(), key=lambda pair: (*trust(pair)[:2], pairs[pair], pair))
    group, kept = groups(first, order, parted)
    refused |= {pair: "parted" for pair in order if pair not in kept and pair in aliases and pair not in joined}
    value = {node: min(other for other in group[node] if namespace(other) == namespace(node)) if namespace(node) in rules.unique else node for node in first}
    for pair in aliases:
        if value[pair[0]] == value[pair[1]]:
            refused.pop(pair, None)

    linked = defaultdict(set)
    for one, other in pairs.keys() - refused.keys():
        linked[one].add(value[other])
        linked[other].add(value[one])
    for node, others in linked.items():
        several = any(sum(namespace(other) == unique for other in others) >= rules.shared(namespace(node)) for unique in rules.unique)
        if several and not any(node in pair for pair in joined & kept):
            isolated[node] = "shared"
    refused |= {pair: "shared" for pair in pairs if pair not in refused and any(isolated.get(node) == "shared" for node in pair)}
    return _persons(first, pairs, value, joined=joined, parted=parted, refused=refused, isolated=isolated, rules=rules)


def _persons(first: dict[str, Position], pairs: dict[Pair, Position], value: dict[str, str], *, joined: set[Pair], parted: list[Pair],
    refused: dict[Pair, str], isolated: dict[str, str], rules: Rules) -> Judged:  # fmt: skip
    def of_values(pair: Pair) -> Pair:
        return tuple(sorted(value[node] for node in pair))

    turns: dict[Pair, tuple] = {}
    for pair in [*joined, *(pairs.keys() - refused.keys())]:
        one = of_values(pair)
        turn = (pair not in joined, *trust(one)[:2], (0, 0, 0) if pair in joined else pairs[pair], one)
        turns[one] = min(turns.get(one, turn), turn)
    group = {value[node]: {value[node]} for node in first}
    foes = [of_values(pair) for pair in parted]
    verdict: dict[Pair, str] = {}
    for pair in sorted(turns, key=turns.__getitem__):
        one, other = (group[node] for node in pair)
        if one is other:
            continue
        broken = [name for name in TRUST if sum(namespace(node) == name for node in one | other) > rules.cap(name)]
        if any({a, b} <= one | other for a, b in foes):
            verdict[pair] = "parted"
        elif broken and turns[pair][0]:
            verdict[pair] = "unique" if broken[0] in rules.unique else "limit"
        else:
            one |= other
            group.update(dict.fromkeys(other, one))
    refused |= {pair: verdict[of_values(pair)] for pair in pairs if pair not in refused and of_values(pair) in verdict}
    people = defaultdict(set)
    for node in first:
        people[id(group[value[node]])].add(node)
    members = [frozenset(nodes) for nodes in people.values()]
    return Judged({person_id(min((first[node], node) for node in nodes)[1]): nodes for nodes in members}, refused, isolated)


def groups(nodes: Iterable[str], order: list[Pair], parted: list[Pair]) -> tuple[dict[str, set[str]], set[Pair]]:
    """For each node those that pairs in this order join, never both of a parted pair; and the pairs that were kept."""
    group, kept = {node: {node} for node in nodes}, set()
    for pair in order:
        one, other = (group[node] for node in pair)
        if one is other or not any(set(foes) <= one | other for foes in parted):
            kept.add(pair)
            one |= other
            group.update(dict.fromkeys(other, one))
    return group, kept


def trust(pair: Pair) -> tuple:
    return (*sorted(TRUST.index(namespace(node)) for node in pair), pair)


def namespace(node: str) -> str:
    return node.split(":")[0]


def person_id(anchor: str) -> str:
    return "p_" + hashlib.sha256(anchor.encode()).hexdigest()[:24]
