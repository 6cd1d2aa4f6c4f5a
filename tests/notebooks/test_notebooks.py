"""The notebooks run from the first cell to the last, in a kernel of their own, and show what their text says."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbclient import NotebookClient

from batch.build import build
from millrace.definitions import DEFAULT_DIRECTORY, load_definitions
from millrace.tables.delta import TenantTables
from tests.laws.features import commits
from tests.laws.histories import START
from tests.laws.logs import write_log
from tests.laws.oracle import HOUR, Record

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TREE = Path(__file__).resolve().parents[2]


def orders() -> list[Record]:
    """Thirty orders of two people, an hour apart, in two epochs."""
    messages = [
        {"type": "track", "event": "Order Completed", "messageId": f"m{n}", "userId": f"u{n % 2 + 1}", "properties": {"revenue": 10, "store_id": str(n)}} for n in range(30)
    ]
    return [Record(json.dumps(message).encode(), 0, n, START + n * HOUR, "http", 1 + n // 15) for n, message in enumerate(messages)]


@pytest.mark.stack
@pytest.mark.spark
def test_features_are_computed_for_the_past_and_for_now(spark: "SparkSession", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables, definitions = TenantTables(tmp_path, "t"), load_definitions(DEFAULT_DIRECTORY)
    write_log(tables, orders(), commits(orders()), definitions)
    build(spark, tables, definitions)
    for name, value in {"MILLRACE_ROOT": str(tmp_path), "MILLRACE_TENANT": "t", "JUPYTER_RUNTIME_DIR": str(tmp_path / "jupyter"), "IPYTHONDIR": str(tmp_path / "ipython")}.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(TREE / "notebooks" / "01_features.ipynb", as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(TREE)}}).execute()
    shown = ["".join(str(output.get("data", {}).get("text/plain", "")) for output in cell.get("outputs", ())) for cell in notebook.cells]
    assert any("SELECT" in text for text in shown)
    assert "person__spend_30d" in shown[5] and "15" in shown[-1]
