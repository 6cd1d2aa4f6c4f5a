"""Columns of a batch whose values may be anything: JSON texts, null where a row has not the column. Connectors make them, shaping.py reads them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

JSON = pa.json_(pa.string())


def json_column(texts: pa.Array) -> pa.Array:
    """JSON texts as such a column."""
    return pa.ExtensionArray.from_storage(JSON, texts)


def json_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Objects of raw JSON values as a table: null where an object has not the key, the text ``null`` where its value is that."""
    names = dict.fromkeys(name for row in rows for name in row)
    texts = {name: [None if (value := row.get(name)) is None else bytes(value).decode() for row in rows] for name in names}
    return pa.table({name: json_column(pa.array(values, pa.string())) for name, values in texts.items()})
