"""The log as features read it: the events that count, with the values that the features need, and the edges they show. historical.py calls it.

Whether an event counts never depends on what came after it (law 6), nor does an edge, so both are read once and cut at any head afterwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from batch.counted import judged
from batch.engines import LOG_COLUMNS
from batch.log_values import LogValues
from batch.respelling import Respelling
from batch.spark_engine import ddl, respelt, whole, with_values
from millrace.definitions import Definitions
from millrace.features import ViewFeatures
from millrace.identity.edges import edges_of
from millrace.tables.catalogue import BATCH_EDGES, EDGES, EVENTS
from millrace.tables.delta import TenantTables
from millrace.tables.ledger import NOTHING, Ledger
from millrace.tables.manifest import Manifest, latest_manifest
from millrace.traits.states import State

FOLDED = ("node", "event_time", "received_at", "epoch", "partition", "offset", "type", "name", "source")


@dataclass(frozen=True)
class Log:
    """The log up to the head of ``ledger``, read through ``session``."""

    session: SparkSession
    tables: TenantTables
    definitions: Definitions
    ledger: Ledger
    secret: bytes

    @property
    def respelling(self) -> Respelling:
        return Respelling(self.ledger.respelt_until(self.definitions.identity.normaliser), self.secret)

    def counted(self, *, after: int = NOTHING) -> DataFrame:
        """Rows of LOG_COLUMNS and the payload of events that count, of the epochs after one."""
        rows = self._read(EVENTS.name).filter(F.col("epoch") <= self.ledger.head)
        history = rows.filter(F.col("epoch") <= after) if after > NOTHING else None
        found = judged(respelt(rows.filter(F.col("epoch") > after), self.respelling), history)
        return found.filter(~F.col("repeated") & F.col("node").isNotNull()).select(*LOG_COLUMNS, "payload")

    def events(self, views: Sequence[ViewFeatures], nodes: DataFrame | None) -> DataFrame:
        """The events that some state of the views counts, with its values. ``nodes``: only those of these nodes (small enough to be sent to every worker)."""
        states = [state for view in views for state in view.view.states]
        found = self.counted().filter(reduce(or_, map(_chosen, states)))
        if nodes is not None:
            found = found.join(F.broadcast(nodes), on="node", how="left_semi")
        values = with_values(found, LogValues.of(self.definitions, states))
        return values.select(*FOLDED, *(name for name in values.columns if name not in LOG_COLUMNS))

    def edges(self) -> DataFrame:
        """Every pair that events which count have shown, once: a, b, hints (null) and where it was first seen. From the newest batch version where it reaches."""
        manifest = self._manifest()
        cut = manifest.cut if manifest else NOTHING
        parts = []
        if manifest:
            parts.append(self._read(BATCH_EDGES.name, version=manifest.tables[BATCH_EDGES.name]).select("a", "b", "first_seen"))
        if cut < self.ledger.head:
            newer = self.counted(after=cut).select("identifiers", "event_time", "epoch", "partition", "offset", "source")
            parts.append(newer.mapInArrow(whole(partial(edges_of, quiet=frozenset(self.definitions.terms))), ddl(EDGES)).select("a", "b", "first_seen"))
        pairs = reduce(DataFrame.unionByName, parts)
        merged = pairs.groupBy("a", "b").agg(F.min("first_seen").alias("first_seen"))
        nothing = F.lit(None).cast("string")
        return merged.select("a", "b", nothing.alias("hint_a"), nothing.alias("hint_b"), "first_seen")

    def _manifest(self) -> Manifest | None:
        """The newest batch version, if its identifiers are spelt as the definitions spell them and its edges are of the same sources."""
        found = latest_manifest(self.tables)
        is_usable = found is not None and found.cut <= self.ledger.head and found.definitions.identity.normaliser == self.definitions.identity.normaliser
        is_usable = is_usable and found.definitions.terms.keys() == self.definitions.terms.keys()
        return found if is_usable else None

    def _read(self, table: str, *, version: int | None = None) -> DataFrame:
        reader = self.session.read.format("delta")
        return (reader if version is None else reader.option("versionAsOf", version)).load(self.tables.path(table))


def _chosen(state: State) -> Column:
    """Whether an event can count for a state, its filter aside."""
    found = F.lit(True)
    if state.events:
        found &= (F.col("type") == "track") & F.col("name").isin(*state.events)
    return found & (F.col("type") == state.type) if state.type else found
