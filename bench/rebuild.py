"""Full batch rebuild (read the log, de-duplicate, fold, edges, persons, both proofs, write, publish) ÷ the same aggregation by DuckDB on the same Delta files.

The log is written by the real speed path. DuckDB de-duplicates, groups into the same tiles and pairs and writes Parquet; it proves nothing and finds no
persons. Both must count the same, otherwise there is no figure. bench/run.py calls ``measure``.
"""

import shutil
import statistics
import tempfile
import time
from typing import Any

import duckdb
import pyarrow.compute as pc
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from batch.build import build
from bench.speed import TENANT, produce
from millrace.definitions import DEFAULT_DIRECTORY, Definitions, load_definitions
from millrace.keys import load_or_create_keys
from millrace.local.broker import Broker
from millrace.session import create_session
from millrace.tables.catalogue import BATCH_EDGES, EVENTS, batch_view
from millrace.tables.delta import TenantTables
from millrace.topics import ensure_topic
from speed.stream import StreamSettings, run_stream

MUST, AIM = 6.0, 4.0
COUNT, ROUNDS = 500_000, 3

COUNTED = """
CREATE OR REPLACE TEMP TABLE counted AS
SELECT node, identifiers, event_time, epoch, "partition", "offset", type, name,
  type = 'track' AND name = 'Order Completed' AS ordered, type = 'track' AND name = 'Coupon Applied' AS coupon, type = 'identify' AS identified,
  CASE WHEN ordered THEN TRY_CAST(json_extract_string(payload, '$.properties.revenue') AS DECIMAL(24, 9)) END AS revenue,
  CASE WHEN ordered THEN json_extract_string(payload, '$.properties.store_id') END AS store,
  CASE WHEN type = 'track' AND name = 'Product Viewed' THEN json_extract_string(payload, '$.properties.product_id') END AS product,
  CASE WHEN identified THEN json_extract_string(payload, ['$.traits.age', '$.traits.income', '$.traits.home_ownership', '$.traits.household_size']) END AS traits
FROM (SELECT *, row_number() OVER (PARTITION BY dedup_key ORDER BY epoch, "partition", "offset") AS place FROM read_parquet($files)) WHERE place = 1
"""
TILES = """
COPY (
  SELECT node, 3600 AS hop, date_trunc('hour', event_time) AS hop_start, count(*) AS events, NULL AS orders, NULL AS revenue, NULL AS products, NULL AS stores, NULL AS largest,
    NULL AS smallest, NULL AS first_order_at, NULL AS last_order_at, NULL AS last_seen_at, NULL AS last_store, NULL AS traits, NULL AS coupons
  FROM counted GROUP BY ALL
  UNION ALL
  SELECT node, 86400, date_trunc('day', event_time), NULL, count(*) FILTER (ordered), sum(revenue), approx_count_distinct(product), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
  FROM counted WHERE ordered OR product IS NOT NULL GROUP BY ALL
  UNION ALL
  SELECT node, 0, NULL, NULL, count(*) FILTER (ordered), sum(revenue), NULL, approx_count_distinct(store), max(revenue), min(revenue), min(event_time) FILTER (ordered),
    max(event_time) FILTER (ordered), max(event_time), arg_max(store, (event_time, "partition", "offset")), arg_max(traits, (event_time, "partition", "offset")), count(*) FILTER (coupon)
  FROM counted GROUP BY ALL
) TO '{folder}/tiles.parquet'
"""
PAIRS = """
COPY (
  SELECT least(node, other) AS a, greatest(node, other) AS b, min(event_time), max(event_time), count(*) AS seen, min((epoch, "partition", "offset"))
  FROM (SELECT *, unnest(CASE WHEN len(identifiers) > 1 THEN list_transform(identifiers[2:], lambda one: one.node) ELSE [node] END) AS other FROM counted) GROUP BY ALL
) TO '{folder}/pairs.parquet'
"""


def measure() -> dict[str, Any]:
    """Median of the rounds' ratios; ``value`` and ``baseline`` in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        definitions, tables = load_definitions(DEFAULT_DIRECTORY), TenantTables(folder, TENANT)
        spark = create_session("bench", memory="3g")
        write_log(spark, tables, definitions)
        runs = []
        for round_number in range(ROUNDS + 1):
            pair = (rebuild(spark, tables, definitions), aggregate(tables, folder))
            if round_number:
                runs.append(pair)
        check_equal(tables, definitions, folder)
        spark.stop()
    ratios = [value / baseline for value, baseline in runs]
    middle = sorted(range(ROUNDS), key=lambda n: ratios[n])[ROUNDS // 2]
    return {
        "ratio": statistics.median(ratios), "value": runs[middle][0], "baseline": runs[middle][1], "must": MUST, "aim": AIM, "runs": runs,
        "events_per_second": round(COUNT / runs[middle][0]),
    }  # fmt: skip


def write_log(spark: SparkSession, tables: TenantTables, definitions: Definitions) -> None:
    with tempfile.TemporaryDirectory() as folder, Broker(folder) as broker:
        load_or_create_keys(tables.root, TENANT)
        produce(broker.bootstrap, ensure_topic(broker.bootstrap, TENANT), COUNT)
        stream = run_stream(spark, tables, definitions, kafka=broker.bootstrap, settings=StreamSettings(available_now=True))
        stream.query.awaitTermination()
        stream.stop()


def rebuild(spark: SparkSession, tables: TenantTables, definitions: Definitions) -> float:
    shutil.rmtree(tables.path("batch"), ignore_errors=True)
    started = time.monotonic()
    build(spark, tables, definitions, full=True)
    return time.monotonic() - started


def aggregate(tables: TenantTables, folder: str) -> float:
    with duckdb.connect(config={"threads": 2}) as connection:
        started = time.monotonic()
        files = DeltaTable(tables.path(EVENTS)).file_uris()
        connection.execute(COUNTED, {"files": files})
        connection.execute(TILES.format(folder=folder))
        connection.execute(PAIRS.format(folder=folder))
        return time.monotonic() - started


def check_equal(tables: TenantTables, definitions: Definitions, folder: str) -> None:
    """Both have as many tiles and pairs and the same orders and revenue; RuntimeError otherwise."""
    ((name, view),) = definitions.views.items()
    tiles, pairs = tables.read(batch_view(name, view)), tables.read(BATCH_EDGES, columns=["seen_count"])
    whole = tiles.filter(pc.equal(tiles["hop"], 0))
    ours = (
        len(tiles), pc.sum(whole["count_order_completed"]).as_py(), pc.sum(whole["sum_properties_revenue__order_completed"]).as_py(), len(pairs), pc.sum(pairs["seen_count"]).as_py()
    )  # fmt: skip
    theirs = (
        *duckdb.sql(f"SELECT count(*), sum(orders) FILTER (hop = 0), sum(revenue) FILTER (hop = 0) FROM '{folder}/tiles.parquet'").fetchone(),
        *duckdb.sql(f"SELECT count(*), sum(seen) FROM '{folder}/pairs.parquet'").fetchone(),
    )
    if ours != theirs:
        raise RuntimeError(f"the rebuild has (tiles, orders, revenue, pairs, sightings) {ours}, DuckDB {theirs}: the figure would compare two different things")
