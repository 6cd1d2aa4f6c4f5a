"""Rows in the Python form as an Arrow table such as serving/profiles, and values that come back from an engine in the Python form again."""

from decimal import Decimal, localcontext
from typing import Any

import pyarrow as pa

from millrace.tables.catalogue import NUMBER, TIME
from millrace.traits.algebra import scaled

ARROW = {
    "integer": pa.int64(), "number": NUMBER, "text": pa.string(), "time": TIME, "boolean": pa.bool_(), "list": pa.list_(pa.string()), "times": pa.list_(TIME),
}  # fmt: skip


def _arrow(type: str, value: Any) -> Any:
    if value is None:
        return None
    if type == "number":
        with localcontext(prec=60):
            return Decimal(value).scaleb(-9)
    return list(value) if type in ("list", "times") else value


def table_of(rows: list[dict[str, Any]], names: dict[str, str]) -> pa.Table:
    """One row each, with its place as ``row``."""
    columns = {name: pa.array([_arrow(type, row.get(name)) for row in rows], ARROW[type]) for name, type in names.items()}
    return pa.table({"row": pa.array(range(len(rows)), pa.int64()), **columns})


def python_value(type: str, value: Any) -> Any:
    """A value of an engine: decimals scaled, everything else as it is."""
    if value is None or type != "number":
        return value
    with localcontext(prec=60):
        return scaled(Decimal(value).quantize(Decimal("1e-9")))
