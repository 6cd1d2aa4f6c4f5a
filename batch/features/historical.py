"""Historical features on Spark: an entity frame in, the same rows with a column a feature out, each as it was known at the row's instant. Jobs and notebooks call it.

On executors, questions meet the edges of their region in one shuffle, the events of their nodes in a second, and the other nodes of their person in a third; each
partition is one Arrow table through a pure kernel, so the number of partitions changes no byte. What fits the driver goes through the same kernels there (docs/adr/0021).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from batch.features.asking import ASKS, asking_of, check_frame, field
from batch.features.finishing import features_schema, finished_features
from batch.features.in_driver import counted_events, features_of, regions
from batch.features.knowledge import Decided, Knowledge, committed_at
from batch.features.log_then import Log
from batch.features.persons_then import ASKED, MEMBERS, QUESTION, REGION, members_then
from batch.features.windows_then import windows_schema, windows_then
from batch.regions import SENT_ROWS, Given, regions_of
from batch.spark_engine import ddl, whole, working_session
from millrace.definitions import Definitions
from millrace.features import Feature, ViewFeatures, by_view, chosen_features
from millrace.identity.rules import ANY_NUMBER, Rules
from millrace.keys import read_keys
from millrace.settings import DEFAULTS, BatchSettings
from millrace.tables.catalogue import DECISIONS
from millrace.tables.delta import TenantTables, conform
from millrace.tables.ledger import NOTHING, read_ledger
from millrace.traits.finish import micros

_PLACED = ["region", "a", "b", "first_seen"]
_ANSWERS = "answers_what"
"""The column that holds the question an answer is for."""


def get_historical_features(
    entity_frame: DataFrame, features: Sequence[str], *, tables: TenantTables, definitions: Definitions, settings: BatchSettings = DEFAULTS.batch
) -> DataFrame:
    """The rows of the frame with a column for each feature, named ``view__trait``. In: one of ``key``, ``node`` and ``person_id``, the instant ``at``, and perhaps
    ``known_at`` (default: ``at``), both timestamps; other columns pass through. Rows may come twice; the frame must give the same rows each time it is read.

    Known are the epochs that existed and the decisions made by ``known_at``; of epochs that came after ``at``, the events that had happened by then. A feature is null
    where nobody had seen the identifier yet. ConfigurationError when the frame or a feature is not as it must be.
    """
    return historical(entity_frame.sparkSession, tables, definitions, settings=settings).features(entity_frame, chosen_features(features, definitions.views))


def historical(
    spark: SparkSession, tables: TenantTables, definitions: Definitions, *, settings: BatchSettings = DEFAULTS.batch, partitions: int | None = None,
    now: datetime | None = None,
) -> "Historical":
    """Features over the tenant's log as it is now. ``partitions``: of each shuffle; default: as many as the log needs. ``now``: when they are asked for (default: now)."""
    ledger, secret = read_ledger(tables), read_keys(tables.root, tables.tenant).token_secret
    partitions = partitions or max(spark.sparkContext.defaultParallelism, 2 * ledger.counts()["received"] // settings.partition_rows)
    log = Log(working_session(spark, partitions), tables, definitions, ledger, secret)
    knowledge = Knowledge(committed_at(ledger), tables.read(DECISIONS).to_pylist())
    few_edges = min(settings.identity_in_driver_edges, SENT_ROWS)
    return Historical(log, definitions.identity.compiled(secret), knowledge, partitions, settings.in_driver_rows, few_edges, micros(now or datetime.now(UTC)))


@dataclass(frozen=True)
class Historical:
    """What all questions of a call stand on. ``in_driver_rows``: events, and questions, up to which they are answered in the driver; ``in_driver_edges``: up to which regions
    are found there. ``now``: when they are asked, in microseconds: what has a term over by then is told of no instant."""

    log: Log
    rules: Rules
    knowledge: Knowledge
    partitions: int
    in_driver_rows: int
    in_driver_edges: int
    now: int

    def features(self, entity_frame: DataFrame, features: Sequence[Feature], *, receipt: Mapping[str, str] | None = None) -> DataFrame:
        """See ``get_historical_features``. With a ``receipt``, its texts and the last epoch and decision that were known stand in columns of each row, and in the place of
        a ``key`` in clear the ``node``."""
        names, placed = [feature.name for feature in features], () if receipt is None else ("head", "decisions")
        who = check_frame(entity_frame, [*names, *placed, *(receipt or ())])
        asking = asking_of(entity_frame, who, self.knowledge, secret=self.log.secret, nodes=lambda: _ends(self.log.edges()).select("node").distinct())
        questions = asking.select(f"{ASKS}.*").filter((F.col("head") > NOTHING) & F.col("asked").isNotNull() & F.col("at").isNotNull()).distinct()
        found = self._answers(questions, by_view(features, self.log.definitions.views)).select(F.struct(*QUESTION.names).alias(_ANSWERS), *names)
        same = [field(name) == F.col(_ANSWERS)[name] for name in QUESTION.names]
        kept = [field("asked").alias("node") if receipt is not None and name == "key" else F.col(f"`{name}`") for name in entity_frame.columns]
        stands = [*(field(name).alias(name) for name in placed), *(F.lit(text).alias(name) for name, text in (receipt or {}).items())]
        return found.join(asking, on=same, how="right").select(*kept, *names, *stands)

    def _answers(self, questions: DataFrame, views: tuple[ViewFeatures, ...]) -> DataFrame:
        """Rows of ``features_schema``, computed in the driver when log and questions fit it."""
        if self.log.ledger.counts()["received"] <= self.in_driver_rows:
            few = questions.limit(self.in_driver_rows + 1).toArrow()
            if len(few) <= self.in_driver_rows:
                counted = counted_events(self.log.tables, self.log.definitions, views, head=self.log.ledger.head, respelling=self.log.respelling)
                found = features_of(conform(few, ASKED), counted, views, rules=self.rules, decided=self.knowledge.decided, quiet=self.log.definitions.terms, now=self.now)
                return self.log.session.createDataFrame(found, ddl(features_schema(views)))
        return self._finished(self._members(questions), views)

    def _members(self, questions: DataFrame) -> DataFrame:
        """Rows of MEMBERS, computed: two later steps read them. So are edges and regions, whose plans are long and would stand in those of all that follows."""
        edges = self.log.edges().localCheckpoint(eager=True)
        inside, nodes = self._regions(edges, edges.count())
        places = nodes.join(questions.select(F.col("asked").alias("node")).distinct(), on="node", how="left_semi").distinct()
        here = questions.join(places.withColumnRenamed("node", "asked"), on="asked", how="inner")
        among = inside.join(places.select("region").distinct(), on="region", how="left_semi")
        rows = among.unionByName(here, allowMissingColumns=True).select(*REGION.names).repartition(self.partitions, "region")
        return rows.mapInArrow(whole(_persons(self.rules, self.knowledge.decided)), ddl(MEMBERS)).localCheckpoint(eager=True)

    def _regions(self, edges: DataFrame, count: int) -> tuple[DataFrame, DataFrame]:
        """Edges with their region, and nodes with theirs. Found in the driver when the edges fit it."""
        if count <= self.in_driver_edges:
            rows, nodes = regions(edges.toArrow(), self.rules, self.knowledge.decided)
            return self.log.session.createDataFrame(rows.select(_PLACED)), self.log.session.createDataFrame(nodes)
        given = Given(self.log.session, edges, count, _without_limits(self.rules), self.knowledge.decided.ever())
        try:
            inside = regions_of(given).inside.select(*_PLACED).localCheckpoint(eager=True)
            return inside, _ends(inside)
        finally:
            given.free()

    def _finished(self, members: DataFrame, views: tuple[ViewFeatures, ...]) -> DataFrame:
        nodes = members.select("node").distinct()
        events = self.log.events(views, nodes if nodes.count() <= SENT_ROWS else None)
        rows = events.unionByName(members, allowMissingColumns=True).repartition(self.partitions, "node")
        now = self.now
        windows = rows.mapInArrow(whole(lambda table: windows_then(table, views, now=now)), ddl(windows_schema(views)))
        return windows.repartition(self.partitions, *QUESTION.names).mapInArrow(whole(lambda table: finished_features(table, views)), ddl(features_schema(views)))


def _persons(rules: Rules, decided: Decided) -> Callable[[pa.Table], pa.Table]:
    def kernel(table: pa.Table) -> pa.Table:
        return members_then(table, rules, decided)

    return kernel


def _ends(edges: DataFrame) -> DataFrame:
    """The nodes of edges, with whatever else stands beside a and b as their region."""
    others = [name for name in edges.columns if name == "region"]
    return edges.select(F.inline(F.array(*(F.struct(F.col(end).alias("node"), *others) for end in ("a", "b")))))


def _without_limits(rules: Rules) -> Rules:
    """Rules under which a region holds whoever may have been one person at any head: a value that is shared today was not at first."""
    return replace(rules, aliases=(ANY_NUMBER,) * len(rules.aliases), shared_from=(None,) * len(rules.shared_from))
