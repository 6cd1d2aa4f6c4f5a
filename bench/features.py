"""Historical features of 50,000 entity rows over a log of 300,000 orders, 10 features ÷ the same by a range join of DuckDB on the same Delta files.

The rows are at random instants, known today, so both read the whole log; DuckDB de-duplicates, reads the values from the payloads and is given who is one person
(``batch/nodes``), which Millrace works out. Both must give the same, otherwise there is no figure. Also measured: the same on Spark's executors. bench/run.py calls ``measure``.
"""

import json
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from batch.driver_engine import DriverEngine
from batch.features import get_historical_features
from bench.speed import TENANT, message
from millrace.definitions import DEFAULT_DIRECTORY, Definitions, load_definitions
from millrace.events.standard import Standardizer
from millrace.identity.edges import edges_of
from millrace.identity.nodes import node_of
from millrace.identity.resolution import resolve
from millrace.keys import load_or_create_keys
from millrace.session import create_session
from millrace.settings import BatchSettings
from millrace.tables.catalogue import BATCH_NODES, EVENTS, LEDGER
from millrace.tables.delta import TenantTables, conform
from millrace.tables.ledger import NOTHING, Under, ledger_rows

MUST, AIM = 12.0, 6.0
EVENT_COUNT, EPOCH, ROWS, PEOPLE, ROUNDS = 300_000, 30_000, 50_000, 50_000, 3
NAMES = ("orders_count", "revenue_total", "spend_30d", "spend_90d", "orders_30d", "average_basket", "largest_basket", "smallest_basket", "last_store", "last_order_at")
FEATURES = [f"person__{name}" for name in NAMES]
ON_EXECUTORS = BatchSettings(in_driver_rows=0)

RANGE_JOIN = """
WITH counted AS (
  SELECT node, event_time, "partition", "offset", TRY_CAST(json_extract_string(payload, '$.properties.revenue') AS DECIMAL(24, 9)) AS revenue,
    json_extract_string(payload, '$.properties.store_id') AS store
  FROM (SELECT *, row_number() OVER (PARTITION BY dedup_key ORDER BY epoch, "partition", "offset") AS place FROM read_parquet($events)) WHERE place = 1 AND name = 'Order Completed'
), owned AS (SELECT person_id, counted.* FROM counted JOIN read_parquet($nodes) USING (node)),
asked AS (SELECT number, person_id, "at", date_trunc('day', "at") AS day FROM entities JOIN read_parquet($nodes) USING (node))
SELECT number, count(*) AS orders_count, sum(revenue) AS revenue_total,
  coalesce(sum(revenue) FILTER (event_time >= date_trunc('day', "at" - INTERVAL 30 DAY)), 0) AS spend_30d,
  coalesce(sum(revenue) FILTER (event_time >= date_trunc('day', "at" - INTERVAL 90 DAY)), 0) AS spend_90d,
  count(*) FILTER (event_time >= date_trunc('day', "at" - INTERVAL 30 DAY)) AS orders_30d,
  avg(revenue) AS average_basket, max(revenue) AS largest_basket, min(revenue) AS smallest_basket,
  arg_max(store, (event_time, "partition", "offset")) AS last_store, max(event_time) AS last_order_at
FROM asked JOIN owned USING (person_id) WHERE event_time <= "at" GROUP BY number, "at"
"""


def measure() -> dict[str, Any]:
    """Median of the rounds' ratios; ``value``, ``baseline`` and ``on_executors`` in seconds."""
    with tempfile.TemporaryDirectory() as folder:
        definitions, tables = load_definitions(DEFAULT_DIRECTORY), TenantTables(folder, TENANT)
        secret = load_or_create_keys(folder, TENANT).token_secret
        write_log(tables, definitions, secret)
        spark = create_session("bench", memory="3g")
        write_persons(tables, definitions, secret)
        rows = entities(secret)
        runs = []
        for round_number in range(ROUNDS + 1):
            ours, seconds = millrace(spark, tables, definitions, rows, BatchSettings())
            theirs, baseline = range_join(tables, rows)
            check_equal(ours, theirs)
            if round_number:
                runs.append((seconds, baseline))
        check_equal(*(millrace(spark, tables, definitions, rows, ON_EXECUTORS)[0], theirs))
        _, on_executors = millrace(spark, tables, definitions, rows, ON_EXECUTORS)
        spark.stop()
    ratios = [value / baseline for value, baseline in runs]
    middle = sorted(range(ROUNDS), key=lambda n: ratios[n])[ROUNDS // 2]
    return {
        "ratio": statistics.median(ratios), "value": runs[middle][0], "baseline": runs[middle][1], "must": MUST, "aim": AIM, "runs": runs, "on_executors": on_executors,
        "rows_per_second": round(ROWS / runs[middle][0]),
    }  # fmt: skip


def write_log(tables: TenantTables, definitions: Definitions, secret: bytes) -> None:
    """Epochs of orders as the speed layer writes them."""
    dice, now = random.Random(7), datetime.now(UTC)
    standardizer = Standardizer([state for states in definitions.states.values() for state in states], secret)
    for table in (EVENTS, LEDGER):
        tables.create(table)
    for epoch in range(1, EVENT_COUNT // EPOCH + 1):
        first = (epoch - 1) * EPOCH
        payloads = [json.dumps(message(dice, first + number), separators=(",", ":")).encode() for number in range(EPOCH)]
        records = {
            "partition": pa.repeat(pa.scalar(0, pa.int32()), EPOCH), "offset": pa.array(range(first, first + EPOCH), pa.int64()),
            "received_at": pa.repeat(pa.scalar(now, EVENTS.schema.field("received_at").type), EPOCH), "source": pa.repeat("bench", EPOCH), "payload": pa.array(payloads, pa.binary()),
        }  # fmt: skip
        found = standardizer.standardize(pa.table(records))
        columns = {"shard": "0", "epoch": epoch, "topic": "bench.events", "is_duplicate": False}
        for name, value in columns.items():
            found = found.append_column(name, pa.repeat(pa.scalar(value, EVENTS.schema.field(name).type), len(found)))
        tables.append(EVENTS, conform(found, EVENTS.schema), app_id="bench", epoch=epoch)
        counts = {"accepted": {("bench.events", 0): EPOCH}}
        tables.append(LEDGER, ledger_rows(epoch, {("bench.events", 0): (first, first + EPOCH)}, under=Under(definitions.hash), counts=counts), app_id="bench", epoch=epoch)


def write_persons(tables: TenantTables, definitions: Definitions, secret: bytes) -> None:
    """``batch/nodes`` as a build writes it: what DuckDB is given."""
    counted = DriverEngine(tables).log_slice(definitions, after=NOTHING, until=EVENT_COUNT // EPOCH, served=NOTHING).counted
    tables.replace(BATCH_NODES, resolve(edges_of(counted), definitions.identity.compiled(secret)).nodes)


def entities(secret: bytes) -> pa.Table:
    dice, first = random.Random(11), datetime(2026, 10, 5, tzinfo=UTC)
    nodes = [node_of("user_id", f"user-{dice.randrange(PEOPLE)}", secret) for _ in range(ROWS)]
    at = [first + timedelta(seconds=dice.randrange(40 * 86_400)) for _ in range(ROWS)]
    time_type = EVENTS.schema.field("event_time").type
    return pa.table({"number": pa.array(range(ROWS), pa.int64()), "node": nodes, "at": pa.array(at, time_type), "known_at": pa.repeat(pa.scalar(datetime.now(UTC), time_type), ROWS)})


def millrace(spark: SparkSession, tables: TenantTables, definitions: Definitions, rows: pa.Table, settings: BatchSettings) -> tuple[pa.Table, float]:
    frame = spark.createDataFrame(rows)
    started = time.monotonic()
    found = get_historical_features(frame, FEATURES, tables=tables, definitions=definitions, settings=settings).toArrow()
    return found, time.monotonic() - started


def range_join(tables: TenantTables, rows: pa.Table) -> tuple[pa.Table, float]:
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("entities", rows)
        started = time.monotonic()
        files = {name: DeltaTable(tables.path(table)).file_uris() for name, table in (("events", EVENTS), ("nodes", BATCH_NODES))}
        found = connection.execute(RANGE_JOIN, files).to_arrow_table()
        return found, time.monotonic() - started


def check_equal(ours: pa.Table, theirs: pa.Table) -> None:
    """The same values for every row that has an order; RuntimeError otherwise. Averages, floating in DuckDB, are within its precision."""
    left = {row["number"]: row for row in ours.to_pylist() if row["person__orders_count"]}
    right = {row["number"]: row for row in theirs.to_pylist()}
    if left.keys() != right.keys():
        raise RuntimeError(f"{len(left)} rows have orders here, {len(right)} in DuckDB: the figure would compare two different things")
    for number, row in right.items():
        different = [name for name in NAMES if name != "average_basket" and left[number][f"person__{name}"] != row[name]]
        if different or abs(float(left[number]["person__average_basket"]) - row["average_basket"]) > 1e-6:
            raise RuntimeError(f"row {number} differs from DuckDB in {different or 'average_basket'}: {left[number]} against {row}")
