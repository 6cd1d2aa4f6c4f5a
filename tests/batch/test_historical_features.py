"""Historical features on Spark over real Delta tables: the same as a direct computation over the records, for any number of partitions and any way to name people."""

import random
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from batch.build import build
from batch.features import get_historical_features
from batch.features.historical import historical
from millrace.features import chosen_features
from millrace.settings import BatchSettings
from millrace.tables.delta import TenantTables
from tests.laws.features import History, commits, expected, shown, some_decisions
from tests.laws.histories import DAY, HOUR, SECRET, TRAITS, history
from tests.laws.logs import write_log
from tests.laws.oracle import read_log
from tests.tiers import SEED

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark
NAMES = ["orders", "spend_2d", "basket", "last_product", "products", "kinds_2d", "median", "since_order", "today", "views_since", "language", "told", "days"]


@pytest.fixture(scope="module")
def past() -> History:
    chance = random.Random(SEED)
    records = history(chance.randrange, 150, 12)
    times = commits(records)
    nodes = sorted({node for event in read_log(records, SECRET).accepted for node in event.nodes})
    return History(records, {name: TRAITS[name] for name in NAMES}, {"last_product": "1h", "language": "3d"}, times, some_decisions(chance.randrange, nodes, times))


@pytest.fixture(scope="module")
def tables(past: History, tmp_path_factory: pytest.TempPathFactory) -> TenantTables:
    found = TenantTables(tmp_path_factory.mktemp("root"), "t")
    write_log(found, past.records, past.committed, past.definitions, decisions=past.decisions)
    return found


@pytest.fixture(scope="module")
def rows(past: History) -> list[tuple[str, int, int]]:
    """Instants beside those of the epochs, for nodes of the log and one that is in none; some known later or earlier; the first row comes twice."""
    chance = random.Random(SEED + 1)
    nodes = sorted({node for event in read_log(past.records, SECRET).accepted for node in event.nodes})
    found = []
    for number in range(60):
        at = chance.choice(past.committed) + chance.choice((0, -1, 1, HOUR, -HOUR, DAY, -3 * DAY))
        found.append((chance.choice([*nodes, "user_id:nobody"]), at, at if number % 3 else chance.choice(past.committed) + chance.choice((0, -1))))
    return [found[0], *found]


def frame_of(spark: "SparkSession", rows: list[tuple[str, int, int]], *, who: str = "node") -> "DataFrame":
    columns = {
        "number": pa.array(range(len(rows)), pa.int64()), who: pa.array([row[0] for row in rows], pa.string()),
        **{name: pa.array([row[n] for row in rows], pa.int64()).cast(pa.timestamp("us", tz="UTC")) for n, name in ((1, "at"), (2, "known_at"))},
    }  # fmt: skip
    return spark.createDataFrame(pa.table(columns))


def by_number(found: "DataFrame") -> pa.Table:
    return found.toArrow().sort_by("number").combine_chunks()


def features_in(table: pa.Table) -> list[dict]:
    names = [name for name in table.column_names if "__" in name]
    return [{name: shown(row[name]) for name in names} for row in table.to_pylist()]


def test_every_row_equals_the_direct_computation(spark, past, tables, rows):
    wanted = [expected(past, row) for row in rows]
    assert any(any(value for value in row.values()) for row in wanted)
    found = by_number(get_historical_features(frame_of(spark, rows), past.features, tables=tables, definitions=past.definitions))
    assert found["number"].to_pylist() == list(range(len(rows)))
    assert features_in(found) == wanted


def in_driver(spark, past, tables, rows) -> pa.Table:
    return by_number(get_historical_features(frame_of(spark, rows), past.features, tables=tables, definitions=past.definitions))


def on_executors(spark, past, tables, rows, *, partitions: int, **settings: int) -> pa.Table:
    asking = historical(spark, tables, past.definitions, settings=BatchSettings(in_driver_rows=0, **settings), partitions=partitions)
    return by_number(asking.features(frame_of(spark, rows), chosen_features(past.features, past.definitions.views)))


def test_executors_give_the_bytes_of_the_driver(spark, past, tables, rows):
    assert on_executors(spark, past, tables, rows, partitions=5).equals(in_driver(spark, past, tables, rows))


@pytest.mark.slow
@pytest.mark.parametrize(("partitions", "is_built"), [(1, False), (64, True)])
def test_whatever_the_partitions_and_wherever_edges_and_regions_come_from_the_bytes_are_the_same(spark, past, tables, rows, partitions, is_built):
    if is_built:
        build(spark, tables, past.definitions)
    assert on_executors(spark, past, tables, rows, partitions=partitions, identity_in_driver_edges=0).equals(in_driver(spark, past, tables, rows))
