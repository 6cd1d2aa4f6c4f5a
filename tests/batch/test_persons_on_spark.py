"""Persons found on executors: the same rows as in the driver, whatever the edges, the rules and the decisions; in few rounds; proven before anybody reads them."""

import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyspark.sql import functions as F

from batch.components import components_of
from batch.persons import write_in_driver, write_persons
from batch.persons_proof import all_fits, broken_invariants
from batch.regions import Given
from batch.spark_persons import Found, persons_of
from millrace.errors import ProofError
from millrace.identity.decisions import UNDECIDED, Decisions, pair_of
from millrace.identity.resolution import EVIDENCE, resolve
from millrace.identity.rules import IdentityRules, Rules
from millrace.settings import BatchSettings
from millrace.tables.catalogue import BATCH_EDGES, BATCH_NODES, BATCH_REFUSED, NODES, REFUSED
from millrace.tables.delta import TenantTables
from tests.laws import oracle_persons as oracle
from tests.laws.edge_sets import NODES as FEW
from tests.laws.edge_sets import Sighting, edges_table, rules_of
from tests.laws.histories import SECRET
from tests.tiers import SEED

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

pytestmark = pytest.mark.spark
TODAY = rules_of(oracle.TODAY)[0]
BY_PAIR = [("a", "ascending"), ("b", "ascending")]


def in_driver(edges: pa.Table, rules: Rules, decisions: Decisions) -> tuple[pa.Table, pa.Table]:
    found = resolve(edges, rules, decisions)
    refused = pa.table([edges["a"], edges["b"], found.refused], schema=REFUSED).filter(found.refused.is_valid())
    return found.nodes, refused.sort_by(BY_PAIR)


def on_executors(spark: "SparkSession", edges: pa.Table, rules: Rules, decisions: Decisions, **how) -> tuple[pa.Table, pa.Table]:
    given = Given(spark, spark.createDataFrame(edges), len(edges), rules, decisions, **how)
    found = persons_of(given, partitions=3)
    nodes, refused = found.nodes.toArrow().cast(NODES).sort_by("node"), found.refused.toArrow().cast(REFUSED).sort_by(BY_PAIR)
    given.free()
    return nodes, refused


def check(spark: "SparkSession", edges: pa.Table, rules: Rules, decisions: Decisions = UNDECIDED, **how) -> pa.Table:
    edges = edges.select(list(EVIDENCE))
    expected = in_driver(edges, rules, decisions)
    found = on_executors(spark, edges, rules, decisions, **how)
    assert [rows.to_pylist() for rows in found] == [rows.to_pylist() for rows in expected]
    return found[0]


def renamed(node: str, case: int) -> str:
    return node.replace(":", f":{case}-")


def cases(chance: random.Random, count: int) -> tuple[list[Sighting], Decisions]:
    """Random edges and decisions about them, those of each case among nodes of its own."""
    seen: list[Sighting] = []
    joined, parted, removed = set(), set(), set()
    for case in range(count):
        nodes = [renamed(node, case) for node in FEW]
        for _ in range(chance.randrange(25)):
            seen.append((chance.choice(nodes), chance.choice(nodes), (chance.randint(1, 6), chance.randrange(3), chance.randrange(3))))
        if chance.random() < 0.5:
            joined |= {pair_of(*chance.sample(nodes, 2)) for _ in range(chance.randrange(3))}
            parted |= {pair_of(*chance.sample(nodes, 2)) for _ in range(chance.randrange(3))}
            removed |= set(chance.sample(nodes, chance.randrange(2)))
    return seen, Decisions(1, frozenset(joined), frozenset(parted), frozenset(removed))


def some_rules(chance: random.Random, count: int) -> Rules:
    unique = frozenset(name for name in oracle.TRUST if chance.random() < 0.5)
    most = {name: chance.randint(1, 3) for name in oracle.TRUST if name not in unique and chance.random() < 0.5}
    shared = {name: chance.choice([None, 2, 3]) for name in oracle.TRUST}
    blocked = frozenset(renamed(chance.choice(FEW), case) for case in range(0, count, 2))
    crowded = {name: chance.choice([None, 3, 4, 6]) for name in oracle.TRUST} if chance.random() < 0.7 else {}
    return rules_of(oracle.Rules(unique, most, shared, blocked, chance.choice([1, 2, 3, 10]), crowded))[0]


@pytest.mark.parametrize("number", range(4))
def test_random_edges_rules_and_decisions_give_the_rows_of_the_driver(spark, number):
    chance = random.Random(f"{SEED} {number}")
    seen, decisions = cases(chance, 200)
    rules = TODAY if number == 0 else some_rules(chance, 200)
    check(spark, edges_table(seen), rules, decisions, at_once=chance.choice([300, 700, 100_000]))


def test_nodes_whose_numbers_are_the_same_are_different_nodes_all_the_same(spark):
    def in_seven(node: "Column") -> "Column":
        return F.pmod(F.xxhash64(node), F.lit(7))

    chance = random.Random(SEED)
    seen, decisions = cases(chance, 60)
    check(spark, edges_table(seen), some_rules(chance, 60), decisions, at_once=100, hashed=in_seven)


def test_a_chain_of_100000_takes_no_more_rounds_than_its_length_has_bits_and_two(spark):
    count, kept = 100_000, []
    pairs = spark.range(count - 1).select(F.xxhash64("id").alias("u"), F.xxhash64(F.col("id") + 1).alias("v"))
    found = components_of(pairs, most=count - 1, kept=kept, at_once=5_000)
    labels = found.labels.select("label").distinct().count(), found.labels.count()
    for frame in kept:
        frame.unpersist()
    assert labels == (1, count - 1)
    assert 5 < found.rounds <= 18


def test_hostile_edges_give_the_rows_of_the_driver(spark):
    """What tests/laws/test_hostile_edges.py gives to both layers, side by side in one graph."""
    devices = [f"anonymous_id:{n:05d}" for n in range(3_000)]
    cycle = [f"anonymous_id:cycle{n:03d}" for n in range(300)]
    ends = ["user_id:end-a", *(f"anonymous_id:parted{n:04d}" for n in range(1_000)), "user_id:end-b"]
    hub = [("user_id:hub", f"anonymous_id:hub{n:05d}") for n in range(5_000)] + [("user_id:second", "anonymous_id:hub00007")]
    hub += [("user_id:large", f"anonymous_id:large{n:05d}") for n in range(3_000)]
    kiosk = [("anonymous_id:kiosk", f"user_id:k{n:04d}") for n in range(2_000)] + [(f"user_id:k{n:04d}", f"email:k{n:04d}") for n in range(2_000)]
    junk = [("email:nobody", f"phone:{n:04d}") for n in range(500)]
    aliases = [(f"user_id:same{n}", f"user_id:same{n + 1}") for n in range(5)] + [("user_id:all", f"user_id:all{n:03d}") for n in range(300)]
    alone = [("phone:lone", "phone:lone"), ("email:nobody", "email:nobody"), ("anonymous_id:kiosk", "anonymous_id:kiosk")]
    pairs = [*pairwise(devices), *zip(cycle, [*cycle[1:], cycle[0]], strict=True), *pairwise(ends), *hub, *kiosk, *junk, *aliases, *alone]
    random.Random(2).shuffle(pairs)
    seen = [(*pair, (1 + number // 1_000, 0, number)) for number, pair in enumerate(pairs)]
    rules = replace(TODAY, blocked=frozenset({"email:nobody"}), crowded_from=(4_000, None, None, 4_000))
    nodes = check(spark, edges_table(seen), rules, Decisions(1, joined=frozenset({("anonymous_id:cycle000", "user_id:large")})), at_once=2_000)
    assert set(nodes["isolated"].to_pylist()) == {None, "blocked", "crowded", "shared"}


def test_a_build_above_the_limit_writes_the_tables_of_the_driver(spark, tmp_path):
    tables, rules = TenantTables(str(tmp_path), "t"), IdentityRules().compiled(SECRET)
    seen, decisions = cases(random.Random(SEED), 30)
    once = {pair_of(a, b): (a, b, at) for a, b, at in seen}
    version = tables.replace(BATCH_EDGES, edges_table(once.values()))
    small = write_in_driver(tables, rules, decisions, edges=version)
    large = write_persons(tables, rules, decisions, edges=version, spark=spark, settings=BatchSettings(identity_in_driver_edges=len(once) - 1))
    for table, order in ((BATCH_NODES, "node"), (BATCH_REFUSED, "a")):
        before, after = (tables.read(table, version=versions[table]).sort_by([(order, "ascending"), (table.schema.names[1], "ascending")]) for versions in (small, large))
        assert before.to_pylist() == after.to_pylist() and len(before)


PAIRS = [("user_id:a", "anonymous_id:1"), ("user_id:b", "anonymous_id:2"), ("phone:p", "phone:p")]
WHOLE = {"anonymous_id:1": "p", "user_id:a": "p", "user_id:b": "q", "anonymous_id:2": "q", "phone:p": "r"}


@pytest.mark.parametrize(
    ("rows", "refused", "wrong"),
    [
        (list(WHOLE.items()), [], []),
        ([*list(WHOLE.items())[1:]], [], ["1 ends of edges that are not in batch/nodes"]),
        ([*WHOLE.items(), ("phone:q", "s")], [], ["1 nodes in batch/nodes that no edge shows"]),
        ([*WHOLE.items(), ("phone:p", "r")], [], ["1 edges with a node that is in batch/nodes more than once"]),
        (list((WHOLE | {"user_id:b": "s"}).items()), [], ["1 edges that join two persons and are not refused"]),
        (list((WHOLE | {"user_id:b": "s"}).items()), [("anonymous_id:2", "user_id:b")], []),
    ],
)
def test_a_lost_an_invented_and_a_doubled_node_and_an_edge_between_persons_are_found(spark, rows, refused, wrong):
    edges = spark.createDataFrame([pair_of(*pair) for pair in PAIRS], "a STRING, b STRING")
    found = edges, spark.createDataFrame(rows, "node STRING, person_id STRING"), spark.createDataFrame(refused, "a STRING, b STRING")
    assert (broken_invariants(*found), all_fits(*found)) == (wrong, not wrong)


def test_persons_that_do_not_fit_their_edges_are_an_error(spark, tmp_path: Path, monkeypatch):
    tables, edges = TenantTables(str(tmp_path), "t"), edges_table([(*pair, (1, 0, n)) for n, pair in enumerate(PAIRS)])
    version = tables.replace(BATCH_EDGES, edges)

    def losing_one(given: Given, *, partitions: int) -> Found:
        found = persons_of(given, partitions=partitions)
        return replace(found, nodes=found.nodes.filter("node != 'phone:p'"))

    monkeypatch.setattr("batch.persons.persons_of", losing_one)
    with pytest.raises(ProofError, match="nothing was published: 1 ends of edges that are not in"):
        write_persons(tables, TODAY, UNDECIDED, edges=version, spark=spark, settings=BatchSettings(identity_in_driver_edges=0))
