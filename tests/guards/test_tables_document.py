"""docs/tables.md describes every table of the catalogue with its columns and types as they are, and says who writes it and who may rely on it."""

import re
from pathlib import Path
from typing import get_args

import pyarrow as pa
import pytest

from millrace.tables import catalogue as tables
from millrace.tables.feature_sets import RECEIPT
from millrace.traits.algebra import KINDS
from millrace.traits.checks import NEEDS
from millrace.traits.states import State
from millrace.traits.traits import Op, Trait
from millrace.traits.views import View

TREE = Path(__file__).resolve().parents[2]
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", (TREE / "docs" / "tables.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL))
VIEW = View(key="node", traits={"counted": Trait(op="count")})
CATALOGUE = {table.name: table.schema for table in vars(tables).values() if isinstance(table, tables.Table)}
CATALOGUE |= {table.name: table.schema for table in (tables.speed_view("<view>", VIEW), tables.batch_view("<view>", VIEW), tables.profiles_table(VIEW))}
SHOPS = tables.rows_table("<view>", View(key={"store": "properties.store"}, traits={"counted": Trait(op="count")}))
CATALOGUE |= {SHOPS.name: SHOPS.schema}
SET = tables.feature_set_table("<name>", pa.schema([("at", tables.TIME), *RECEIPT]))
CATALOGUE |= {SET.name: SET.schema, "entities/<name>": tables.entity_table("<name>").schema}


def rows(name: str, first: str) -> list[list[str]]:
    """Rows of the table of a section whose first column has this heading."""
    found = re.search(rf"^\| {first} \| type \| meaning \|\n\|[-|]+\|\n((?:\|.*\n?)+)", SECTIONS[name], re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found[1].splitlines()] if found else []


def shown(fields: list[pa.Field]) -> list[list[str]]:
    return [[f"`{field.name}`", f"`{field.type}`"] for field in fields]


def test_every_table_has_a_section_and_every_section_a_table() -> None:
    assert set(SECTIONS) == set(CATALOGUE)


@pytest.mark.parametrize("name", CATALOGUE)
def test_columns_and_types_are_those_of_the_catalogue(name: str) -> None:
    declared = [field for field in CATALOGUE[name] if field.name not in ("counted", "count")]
    assert [row[:2] for row in rows(name, "column")] == shown(declared)


@pytest.mark.parametrize("name", CATALOGUE)
def test_section_says_key_writer_and_who_may_rely_on_it(name: str) -> None:
    assert re.search(r"Key: .+ Written by: .+ (Stable|Internal)", SECTIONS[name])
    assert all(len(row) == 3 and len(row[2]) > 3 for row in rows(name, "column"))


@pytest.mark.parametrize("name", ["speed/<view>", "batch/<view>"])
def test_every_kind_of_state_is_there_with_its_type(name: str) -> None:
    types = {"first": "string", "last": "string", "distinct": "string"}  # the others: number
    expected = {f"`{kind}`": f"`{tables.state_type(State(kind, kind, None, types.get(kind, 'number'), (), None))}`" for kind in KINDS}
    assert {row[0]: row[1] for row in rows(name, "state")} == expected


def test_traits_of_profiles_have_the_types_of_their_operations() -> None:
    ops = {row[0]: row[1] for row in rows("serving/profiles", "op")}
    told = {op: kind for cell, kind in ops.items() for op in re.findall(r"`(\w+)`", cell) if " of numbers" not in cell and " of times" not in cell}
    assert set(told) == set(get_args(Op))
    for op in told.keys() - {"min", "max"}:
        view = View(key="node", traits={"t": Trait(op=op, value=None if op in NEEDS else "properties.x")})
        assert told[op] == f"`{tables.profiles_table(view).schema.field('t').type}`", op
    for value_type, words in (("number", "numbers"), ("string", "texts"), ("time", "times")):
        assert ops[f"`min`, `max`, `first`, `last` of {words}"] == f"`{tables.VALUE_TYPES[value_type]}`"
