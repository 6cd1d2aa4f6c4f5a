"""docs/data_health.md: the queries run as they stand there, and the windows add up to the ledger; every measure is explained."""

import re
from importlib.resources import files
from pathlib import Path

import duckdb
import pytest

from serving.data_health.judging import SCALES
from tests.serving.data_health.logged import HOUR, Log, Sent, watch

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "data_health.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```sql\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> tuple[duckdb.DuckDBPyConnection, str]:
    """Thirty hours of the shop, the last of them silent, and the folder of its tables."""
    root = tmp_path_factory.mktemp("health")
    log = Log(root)
    for hour in range(29):
        log.write(*(Sent(hour * HOUR + number * 30, late=number % 7) for number in range(120)), Sent(hour * HOUR + 3_599, "app", "bad_timestamp"))
    watch(log, until=30 * HOUR, now=30 * HOUR)
    extension = files("duckdb_extension_delta") / "extensions" / f"v{duckdb.__version__}" / "delta.duckdb_extension"
    connection = duckdb.connect(config={"threads": 1})
    connection.load_extension(str(extension))
    return connection, f"{root}/t/"


@pytest.mark.parametrize("number", range(6))
def test_a_query_runs_and_finds_something(number: int, database: tuple[duckdb.DuckDBPyConnection, str]) -> None:
    connection, folder = database
    assert len(QUERIES) == 6
    query = QUERIES[number].replace("data/default/", folder)
    assert connection.sql(query).fetchall()


def test_the_silent_hour_is_what_is_unusual_and_windows_add_up(database: tuple[duckdb.DuckDBPyConnection, str]) -> None:
    connection, folder = database
    unusual = connection.sql(QUERIES[0].replace("data/default/", folder)).fetchall()
    assert ("shop", "received") in {row[:2] for row in unusual}
    assert connection.sql(QUERIES[4].replace("data/default/", folder)).fetchall() == [(29 * 121, 29 * 121)]


def test_every_measure_is_explained() -> None:
    table = TEXT.partition("\n\n**A window is final**")[0]
    assert all(f"`{measure}`" in table for measure in SCALES)
