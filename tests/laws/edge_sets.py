"""Random edge sets with random rules, for the laws of identity: few nodes, so that everything meets everything; positions that collide."""

import random
from collections.abc import Iterable

import pyarrow as pa
from hypothesis import strategies as st

from millrace.identity.decisions import UNDECIDED, Decisions, pair_of
from millrace.identity.rules import Rules
from millrace.tables.catalogue import EDGES
from tests.laws import oracle_persons as oracle

Sighting = tuple[str, str, tuple[int, int, int]]
NODES = [f"{namespace}:{number}" for namespace, count in zip(oracle.TRUST, (4, 4, 2, 5), strict=True) for number in range(count)]
CLOSE = ["user_id:0", "user_id:1", "user_id:2", "email:0", "anonymous_id:0"]
"""So few that some are aliases, some shared, and one fewer changes it."""


@st.composite
def rule_sets(draw: st.DrawFn) -> tuple[Rules, oracle.Rules]:
    """The same rules for the product and for the oracle; half of the time today's."""
    if draw(st.booleans()):
        return rules_of(oracle.Rules(blocked=frozenset(draw(st.sets(st.sampled_from(NODES), max_size=1)))))
    names = st.sets(st.sampled_from(oracle.TRUST))
    unique = draw(names)
    most = {name: draw(st.integers(1, 3)) for name in sorted(draw(names) - unique)}
    shared = {name: draw(st.sampled_from([None, 2, 3])) for name in oracle.TRUST}
    blocked = frozenset(draw(st.sets(st.sampled_from(NODES), max_size=2)))
    crowded = {name: draw(st.sampled_from([None, 2, 3, 4, 6])) for name in oracle.TRUST} if draw(st.booleans()) else {}
    return rules_of(oracle.Rules(frozenset(unique), most, shared, blocked, draw(st.sampled_from([1, 2, 3, 10])), crowded))


def rules_of(rules: oracle.Rules) -> tuple[Rules, oracle.Rules]:
    caps = tuple(1 if name in rules.unique else (rules.most or {}).get(name) for name in oracle.TRUST)
    shared = tuple((rules.shared_from or {}).get(name, 2) for name in oracle.TRUST)
    unique, aliases = tuple(name in rules.unique for name in oracle.TRUST), (rules.aliases,) * len(oracle.TRUST)
    crowded = tuple((rules.crowded_from or {}).get(name) for name in oracle.TRUST)
    return Rules(crowded_from=crowded, namespaces=oracle.TRUST, caps=caps, unique=unique, aliases=aliases, shared_from=shared, blocked=rules.blocked), rules


@st.composite
def decision_sets(draw: st.DrawFn, *, most: int = 2) -> tuple[Decisions, oracle.Decided]:
    """The same decisions for the product and for the oracle; half of the time none."""
    if draw(st.booleans()):
        return UNDECIDED, oracle.Decided()
    node = st.sampled_from(draw(st.sampled_from((NODES, CLOSE))))
    pairs = st.sets(st.tuples(node, node).filter(lambda pair: pair[0] != pair[1]).map(lambda pair: pair_of(*pair)), max_size=most)
    decided = oracle.Decided(frozenset(draw(pairs)), frozenset(draw(pairs)), frozenset(draw(st.sets(node, max_size=1))))
    return Decisions(1, decided.joined, decided.parted, decided.removed), decided


@st.composite
def edge_sets(draw: st.DrawFn, most: int = 24) -> list[Sighting]:
    """Pairs as they are seen, some again and again; a node with itself now and then. Epochs 1 to 6."""
    node, small = st.sampled_from(draw(st.sampled_from((NODES, CLOSE)))), st.integers(0, 2)
    return draw(st.lists(st.tuples(node, node, st.tuples(st.integers(1, 6), small, small)), max_size=most))


def edges_table(sightings: Iterable[Sighting], schema: pa.Schema = EDGES) -> pa.Table:
    """Rows as the tables of edges hold them, not merged. Columns of the schema that are not given are null."""
    rows = []
    for one, other, (epoch, partition, offset) in sightings:
        a, b = sorted((one, other))
        at = {"epoch": epoch, "partition": partition, "offset": offset}
        rows.append({"epoch": epoch, "a": a, "b": b, "hint_a": f"•{a[-1]}", "hint_b": f"•{b[-1]}", "seen_count": 1, "first_seen": at})
    return pa.Table.from_pylist(rows, schema=schema)


def shuffled_with_repeats(sightings: list[Sighting], chance: random.Random) -> list[Sighting]:
    found = [*sightings, *chance.choices(sightings, k=chance.randrange(4))] if sightings else []
    chance.shuffle(found)
    return found
