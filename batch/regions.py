"""Edges cut into regions that can be judged one by one: edges, rules and decisions in; the same edges with a region each, and those cut off, out. batch/spark_persons.py calls it.

A region is a union of components: every edge that may join is inside one. Only blocked, removed, crowded and shared nodes and aliases of too many values lie between
regions, and edges there are refused whatever else there is. They are found here, by names; numbers stand for names only where components are found, so that two
names with one number make a region larger and never an answer wrong (docs/adr/0019).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import or_

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from batch.aliases import Aliases, aliases_of, pairs_table
from batch.components import PAIRS_AT_ONCE, Components, components_of, cut
from batch.crowds import crowded, many_linked
from millrace.identity.decisions import Decisions
from millrace.identity.rules import Rules
from millrace.identity.verdicts import BLOCKED, CROWDED, REASONS, REMOVED, SHARED

SENT_ROWS = 1_000_000
"""Rows up to which a table of nodes is sent to every worker rather than all edges through a shuffle: some 100 MB."""


@dataclass
class Given:
    """What persons are found of. ``edges``: the columns resolution.EVIDENCE, at most ``most`` rows. ``hashed`` makes numbers of names. ``kept``: frames to free."""

    session: SparkSession
    edges: DataFrame
    most: int
    rules: Rules
    decisions: Decisions
    at_once: int = PAIRS_AT_ONCE
    hashed: Callable[[Column], Column] = F.xxhash64
    kept: list[DataFrame] = field(default_factory=list)

    def keep(self, frame: DataFrame) -> DataFrame:
        self.kept.append(frame.persist(StorageLevel.MEMORY_AND_DISK))
        return frame

    def free(self) -> None:
        while self.kept:
            self.kept.pop().unpersist()

    def beside(self, frame: DataFrame) -> DataFrame:
        """The frame's rows, to be joined with all edges, sent to every worker when they are few. Without their plan: the texts of plans in plans filled the driver's heap."""
        rows = cut(frame)
        return F.broadcast(rows) if rows.count() <= SENT_ROWS else rows

    def small(self, rows: pa.Table) -> DataFrame:
        """Rows of the driver, sent to every worker."""
        return F.broadcast(self.session.createDataFrame(rows))

    @cached_property
    def joined(self) -> list[tuple[str, str]]:
        """Pairs that decisions join and nothing keeps alone."""
        alone = self.decisions.removed | self.rules.blocked
        return [pair for pair in sorted(self.decisions.joined) if not alone.intersection(pair)]

    def space(self, node: Column) -> Column:
        """Number of a node's namespace; one more than the last for a namespace without rules."""
        found = F.lit(len(self.rules.namespaces))
        for number, namespace in reversed(list(enumerate(self.rules.namespaces))):
            found = F.when(node.startswith(f"{namespace}:"), F.lit(number)).otherwise(found)
        return found

    def is_unique(self, node: Column) -> Column:
        unique = (namespace for namespace, is_unique in zip(self.rules.namespaces, self.rules.unique, strict=True) if is_unique)
        return reduce(or_, (node.startswith(f"{namespace}:") for namespace in unique), F.lit(False))

    def number(self, node: Column) -> Column:
        """Smaller for a more trusted namespace: what owns events stands for what they show."""
        shift = 63 - (len(self.rules.namespaces) + 1).bit_length()
        return F.shiftleft(self.space(node).cast("bigint"), shift).bitwiseOR(self.hashed(node).bitwiseAND(F.lit((1 << shift) - 1)))


@dataclass(frozen=True)
class Regions:
    """``inside``: edges with their region, and for each node at an edge that is cut a pair with itself, which says that it is there (``alone``: that it
    is SHARED or CROWDED). ``refused``: the edges that are cut, with the reason. ``many``: nodes seen with many others. ``rounds``: how many the components took."""

    inside: DataFrame
    refused: DataFrame
    many: DataFrame | None
    rounds: int


def regions_of(given: Given) -> Regions:
    """The regions; ``given.kept`` is what the caller frees after use."""
    many = many_linked(given)
    nobodys = _nobodys(given, many)
    open_pairs = _marked(given, nobodys).filter((F.col("a") != F.col("b")) & (F.col("code") == 0))
    aliases = aliases_of(given, open_pairs.select("a", "b", "first_seen"))
    isolated = given.beside(nobodys.union(_shared(given, open_pairs.select("a", "b"), aliases)))
    marked = _marked(given, isolated, aliases)
    is_pair = (F.col("a") != F.col("b")) & (F.col("code") == 0)
    numbers = marked.filter(is_pair).select(given.number(F.col("a")).alias("u"), given.number(F.col("b")).alias("v"))
    found = components_of(numbers.union(_decided(given)), most=given.most + len(given.decisions.joined), kept=given.kept, at_once=given.at_once)
    aside = given.keep(marked.filter(~is_pair))
    apart = aside.filter("code > 0")
    reason = F.element_at(F.array(*(F.lit(reason) for reason in REASONS[1:])), F.col("code"))
    return Regions(_inside(given, marked.filter(is_pair), aside, found), apart.select("a", "b", reason.alias("reason")), many, found.rounds)


def _nobodys(given: Given, many: DataFrame | None) -> DataFrame:
    """Nodes that are blocked, removed or crowded."""
    numbers = dict.fromkeys(given.rules.blocked, BLOCKED) | dict.fromkeys(given.decisions.removed, REMOVED)
    listed = given.small(pa.table({"node": pa.array(list(numbers), pa.string()), "number": pa.array(list(numbers.values()), pa.int32())}))
    return listed if many is None else given.beside(listed.union(crowded(given, many).select("node", F.lit(CROWDED).cast("int"))))


def _marked(given: Given, isolated: DataFrame, aliases: Aliases | None = None) -> DataFrame:
    """The edges with the numbers of the reasons why their ends are isolated, and ``code``: why an edge is refused, before any limit is looked at."""
    found = given.edges
    for end in ("a", "b"):
        found = found.join(isolated.select(F.col("node").alias(end), F.col("number").alias(f"alone_{end}")), on=end, how="left")
    crowded = F.lit(None)
    if aliases is not None and aliases.crowded is not None:
        found = found.join(aliases.crowded.withColumnRenamed("code", "crowded"), on=["a", "b"], how="left")
        crowded = F.col("crowded")
    code = F.lit(0)
    for reason in (SHARED, BLOCKED, REMOVED, CROWDED):
        code = F.when((F.coalesce("alone_a", F.lit(0)) == reason) | (F.coalesce("alone_b", F.lit(0)) == reason), reason).otherwise(code)
    code = F.when(F.col("a") == F.col("b"), 0).otherwise(F.coalesce(crowded, code))
    return found.select(*given.edges.columns, "alone_a", "alone_b", code.cast("int").alias("code"))


def _shared(given: Given, pairs: DataFrame, aliases: Aliases) -> DataFrame:
    """Nodes linked to as many values of one unique namespace as theirs allows, with SHARED. Values are told apart by their hashes: of two values that have one hash, a
    node may be missed here. Then its edges stay, all in one region, and it is judged there."""
    a, b = F.col("a"), F.col("b")
    links = pairs.filter(given.is_unique(a) != given.is_unique(b))
    links = links.select(F.when(given.is_unique(a), b).otherwise(a).alias("node"), F.when(given.is_unique(a), a).otherwise(b).alias("value"))
    if aliases.values is not None:
        links = links.join(aliases.values.toDF("value", "stands"), on="value", how="left").select("node", F.coalesce("stands", "value").alias("value"))
    least = F.lit(None).cast("int")
    for namespace, most in zip(given.rules.namespaces, (*given.rules.shared_from,), strict=True):
        least = F.when(F.col("node").startswith(f"{namespace}:"), F.lit(most).cast("int")).otherwise(least)
    known = reduce(or_, (F.col("node").startswith(f"{namespace}:") for namespace in given.rules.namespaces), F.lit(False))
    least = F.when(known, least).otherwise(2)
    value = F.xxhash64("value")
    several = max(most or 2 for most in given.rules.shared_from) > 2
    counted = F.count_distinct(value) if several else F.when(F.min(value) == F.max(value), 1).otherwise(2)
    grouped = links.groupBy("node", given.space(F.col("value")).alias("space")).agg(counted.alias("values"))
    found = grouped.filter(F.col("values") >= least).select("node").distinct()
    if aliases.decided:
        found = found.join(given.small(pa.table({"node": sorted(aliases.decided)})), on="node", how="left_anti")
    return found.select("node", F.lit(SHARED).cast("int").alias("number"))


def _told(number: Column) -> Column:
    """Why a node is isolated where its region does not show it: blocked and removed ones are known by name."""
    return F.when(number.isin(SHARED, CROWDED), number)


def _decided(given: Given) -> DataFrame:
    """Pairs of numbers that decisions join."""
    return given.session.createDataFrame(pairs_table(given.joined)).select(given.number(F.col("a")).alias("u"), given.number(F.col("b")).alias("v"))


def _inside(given: Given, pairs: DataFrame, aside: DataFrame, found: Components) -> DataFrame:
    """The smaller end of a pair is somebody's parent, and most of those stand for themselves: their labels are few enough to be sent to the edges."""
    pairs = pairs.withColumn("number", F.least(given.number(F.col("a")), given.number(F.col("b")))).withColumn("alone", F.lit(None).cast("int"))
    ends = (F.struct(F.col(end).alias("node"), F.col(f"hint_{end}").alias("hint"), "first_seen", _told(F.col(f"alone_{end}")).alias("alone")) for end in "ab")
    apart = aside.filter("code > 0").select(F.inline(F.array(*ends)))
    apart = apart.groupBy("node").agg(F.min("hint").alias("hint"), F.min("first_seen").alias("first_seen"), F.max("alone").alias("alone"))
    apart = apart.select(F.col("node").alias("a"), F.col("node").alias("b"), F.col("hint").alias("hint_a"), F.col("hint").alias("hint_b"), "first_seen", "alone")
    lone = aside.filter("a = b").withColumn("alone", F.lit(None).cast("int")).select(*apart.columns).union(apart).withColumn("number", given.number(F.col("a")))
    columns = [*given.edges.columns, "alone", "region"]
    with_region = [rows.join(labels.toDF("number", "label"), on="number", how="left").withColumn("region", F.coalesce("label", "number")).select(*columns)
                   for rows, labels in ((pairs, given.beside(found.parents)), (lone, found.labels))]  # fmt: skip
    return with_region[0].union(with_region[1])
