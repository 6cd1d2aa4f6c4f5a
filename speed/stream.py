"""The streaming query of a tenant: Kafka to epochs. ``jobs/stream_events.py`` starts it; tests run it with ``available_now``."""

import gc
import logging
import math
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from millrace.columns.events import record_columns
from millrace.definitions import Definitions
from millrace.keys import read_keys
from millrace.settings import DEFAULTS, KafkaSettings
from millrace.settings import StreamSettings as StreamSection
from millrace.spans import span_text
from millrace.tables.delta import TenantTables
from millrace.topics import ensure_topic, kept_s, partition_count
from speed.breakers import Breakers
from speed.epoch import EpochWriter
from speed.housekeeping import Housekeeper
from speed.recovery import begin_generation, starting_offsets
from speed.seen import SeenIndex
from speed.standardizing import StandardizingProcess, standardizer_of

log = logging.getLogger(__name__)
AT_A_POLL = 5_000
"""Records that the consumer hands over together. More than one fetch of Kafka's default size holds: no fetch is handed over in pieces."""


class StreamSettings(StreamSection):
    """How a stream runs: its section of the configuration, how a missing topic is made, the batch versions whose speed epochs are kept, and whether to stop
    when the topic is read."""

    topic: KafkaSettings = DEFAULTS.kafka
    keep_versions: int = DEFAULTS.batch.keep_versions
    available_now: bool = False


@dataclass(frozen=True)
class RunningStream:
    """The query and what writes its epochs; the last epoch may still be on its way to the ledger when the query has ended."""

    query: StreamingQuery
    writer: EpochWriter
    housekeeper: Housekeeper

    def expire_if_due(self) -> None:
        """Also while nothing comes in: between epochs, when none is being written."""
        if self.housekeeper.is_expiry_due:
            self.writer.between_epochs(self.housekeeper.expire_if_due)

    def stop(self) -> None:
        """Ends the query and waits for the epoch that is being written."""
        try:
            if self.query.isActive:
                self.query.stop()
            self.writer.finish()
        finally:
            if isinstance(self.writer.standardizer, StandardizingProcess):
                self.writer.standardizer.close()


def start_stream(spark: SparkSession, tables: TenantTables, definitions: Definitions, *, kafka: str, settings: StreamSettings) -> StreamingQuery:
    """The query of ``run_stream``, for callers that wait for its end with ``available_now``."""
    return run_stream(spark, tables, definitions, kafka=kafka, settings=settings).query


def run_stream(spark: SparkSession, tables: TenantTables, definitions: Definitions, *, kafka: str, settings: StreamSettings) -> RunningStream:
    """Starts the query where the ledger ends. The caller holds the ``speed`` lease. Errors: BrokerUnavailable, CoverageError."""
    topic = ensure_topic(kafka, tables.tenant, partitions=settings.topic.partitions, replication=settings.topic.replication)
    checkpoint = Path(tables.path("checkpoints/stream"))
    generation, ledger = begin_generation(tables, checkpoint, definitions)
    seen = SeenIndex(checkpoint / "seen", horizon=timedelta(seconds=settings.dedup_horizon))
    if not seen.covers(ledger.head, generation.generation):
        seen.rebuild(tables, ledger.head, generation.generation)
    housekeeper = Housekeeper(
        tables, definitions, keep_versions=settings.keep_versions, every=settings.compact_every_epochs,
        max_files=settings.compact_above_files, keep_files_s=settings.keep_files,
    )  # fmt: skip
    housekeeper.mark_replayed()
    housekeeper.expire_if_due()
    _warn_of_kept_records(kafka, topic, definitions)
    breakers = Breakers(tables, definitions)

    def after_epoch(epoch: int, rows: pa.Table) -> None:
        breakers.after_epoch(epoch, rows)
        housekeeper.after_epoch(epoch)

    secret = read_keys(tables.root, tables.tenant).token_secret
    writer = EpochWriter(
        tables=tables, definitions=definitions, standardizer=(standardizer_of if settings.available_now else StandardizingProcess)(definitions, secret),
        generation=generation, checkpoint=checkpoint, seen=seen, ledger=ledger, many=settings.max_records // 2, overlap=not settings.available_now,
        after_epoch=after_epoch,
    )  # fmt: skip
    records = (
        spark.readStream.format("kafka")
        .option("kafka.bootstrap.servers", kafka)
        .option("subscribe", topic)
        .option("startingOffsets", starting_offsets(ledger, topic, partition_count(kafka, topic)))
        .option("maxOffsetsPerTrigger", settings.max_records)
        .option("kafka.max.poll.records", AT_A_POLL)
        .option("includeHeaders", "true")
        .option("failOnDataLoss", "true")
        .load()
    )
    stream = record_columns(records, stamped=definitions.plan_hash is not None).writeStream.queryName(f"{tables.tenant}.stream").option("checkpointLocation", str(checkpoint)).foreachBatch(writer.process)
    gc.freeze()  # what is there now stays: looking for garbage in it takes a tenth of an epoch
    log.info("stream starting tenant=%s head=%d definitions=%s", tables.tenant, ledger.head, definitions.hash)
    when = {"availableNow": True} if settings.available_now else {"processingTime": f"{settings.trigger * 1000:.0f} milliseconds"}
    return RunningStream(stream.trigger(**when).start(), writer, housekeeper)


def _warn_of_kept_records(kafka: str, topic: str, definitions: Definitions) -> None:
    """Says when the topic keeps what a source with a term has sent for longer than that: the topic is not emptied."""
    if definitions.terms and (kept := kept_s(kafka, topic)) > (shortest := min(definitions.terms.values())):
        shown = "for ever" if kept == math.inf else span_text(kept)
        log.warning("topic %s keeps records %s, longer than the term of a source (%s): set its retention.ms to %d or less", topic, shown, span_text(shortest), shortest * 1000)
