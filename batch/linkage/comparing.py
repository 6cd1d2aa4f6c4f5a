"""Splink on DuckDB: which pairs meet, and how alike each of their attributes is, as numbers of levels. Training and scoring call it.

Values of persons live in the memory of one DuckDB connection and nowhere else; what leaves are row numbers and levels.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from splink import DuckDBAPI, Linker, SettingsCreator

from batch.linkage.comparisons import comparison

THREADS = 2
ROW = "row"
_LEVEL, _RARITY = "gamma_", "mw_tf_adj_"


@dataclass(frozen=True)
class Compared:
    """Pairs of rows (``left`` < ``right``). ``levels``: one column an attribute, 0 = different, more = more alike, −1 = missing;
    ``rarity``, likewise: natural logarithm of how much rarer than usual the value is on which the pair agrees, else 0."""

    left: np.ndarray
    right: np.ndarray
    levels: np.ndarray
    rarity: np.ndarray

    def __len__(self) -> int:
        return len(self.left)


def first_settings(kinds: Mapping[str, str], keys: list[str]) -> dict[str, Any]:
    """Settings of an untrained model for these attributes; two rows meet where a key is equal."""
    return {
        "link_type": "dedupe_only", "unique_id_column_name": ROW, "comparisons": [comparison(name, kinds) for name in kinds],
        "blocking_rules_to_generate_predictions": [{"blocking_rule": f'l."{key}" = r."{key}"'} for key in keys],
        "retain_intermediate_calculation_columns": True, "retain_matching_columns": True, "linker_uid": "millrace",
    }  # fmt: skip


def in_memory() -> duckdb.DuckDBPyConnection:
    """A connection that never writes: without a folder for what does not fit into memory, clear values cannot get onto a disk."""
    return duckdb.connect(config={"threads": THREADS, "temp_directory": ""})


def open_linker(rows: pa.Table, settings: Mapping[str, Any]) -> Linker:
    """A linker over the rows, numbered as they come."""
    numbered = rows.append_column(ROW, pa.array(np.arange(len(rows))))
    api = DuckDBAPI(in_memory())
    return Linker(api.register(numbered), SettingsCreator.from_path_or_dict(dict(settings)), log_level=logging.ERROR)


def compare(linker: Linker, names: list[str], *, at_least: float, pairs: tuple[np.ndarray, np.ndarray] | None = None) -> Compared:
    """The pairs that meet, or these ``pairs`` alone, whose probability by Splink's own weights is ``at_least`` this."""
    if pairs is not None and not len(pairs[0]):
        return Compared(*pairs, np.zeros((0, len(names)), np.int8), np.zeros((0, len(names))))
    if pairs is not None:
        given = pa.table({"match_key": pa.array(["0"] * len(pairs[0])), "join_key_l": pairs[0], "join_key_r": pairs[1]})
        linker.table_management.register_blocked_pairs_for_predict(linker._db_api.register(given))
    found = linker.inference.predict(threshold_match_probability=at_least or None, warning_mode="never").as_duckdbpyrelation()
    rarities = [f"{_RARITY}{name}" for name in names if f"{_RARITY}{name}" in found.columns]
    wanted = [f"{ROW}_l", f"{ROW}_r", *(f"{_LEVEL}{name}" for name in names), *rarities]
    rows = found.select(*(duckdb.ColumnExpression(name) for name in wanted)).to_arrow_table()
    columns = {name: rows[name].to_numpy() for name in wanted}
    levels = np.column_stack([columns[f"{_LEVEL}{name}"] for name in names]).astype(np.int8).reshape(len(rows), len(names))
    rarity = np.column_stack([columns.get(f"{_RARITY}{name}", np.zeros(len(rows))) for name in names]) * np.log(2)
    return Compared(columns[f"{ROW}_l"].astype(np.int64), columns[f"{ROW}_r"].astype(np.int64), levels, rarity)
