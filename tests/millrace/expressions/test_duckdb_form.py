"""The cases of the language through DuckDB: the same answers as the Python form, whatever the time zone of the session."""

import random
from typing import Any

import duckdb
import pytest

from millrace.expressions import PythonForm, parse
from millrace.expressions.duckdb_form import DuckForm, text_literal
from tests.millrace.expressions.cases import CASES, NAMES, NOW, ROW
from tests.millrace.expressions.random_lines import NAMES as RANDOM_NAMES
from tests.millrace.expressions.random_lines import lines, rows
from tests.millrace.expressions.rows import python_value, table_of
from tests.tiers import LAW_EXAMPLES, SEED


@pytest.fixture(scope="module", params=["UTC", "America/New_York"])
def connection(request: pytest.FixtureRequest) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(f"SET TimeZone = '{request.param}'")
    connection.register("one_row", table_of([ROW], NAMES))
    return connection


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_sql_gives_what_the_case_says(connection: duckdb.DuckDBPyConnection, text: str, expected: Any) -> None:
    tree = parse(text, NAMES)
    sql = f"SELECT {DuckForm().sql(tree)} FROM one_row"
    found = connection.execute(sql, {"now": NOW} if "$now" in sql else None).fetchone()[0]
    assert python_value(tree.type, found) == expected and isinstance(found, bool) == isinstance(expected, bool)


@pytest.mark.parametrize("text", ["", "'", "''; DROP TABLE one_row; --", "\\'", "a\0b", "é\U0001f34e", "{}", "$now"])
def test_no_text_leaves_its_quotes(connection: duckdb.DuckDBPyConnection, text: str) -> None:
    tree = parse('city = "' + text.replace('"', '""') + '"', {"city": "text"})
    connection.register("cities", table_of([{"city": text}, {"city": text + "x"}], {"city": "text"}))
    assert connection.execute(f"SELECT {DuckForm().sql(tree)} FROM cities ORDER BY row").fetchall() == [(True,), (False,)]
    assert connection.execute(f"SELECT {text_literal(text)}").fetchone() == (text,)


def test_random_lines_over_random_rows_give_in_sql_what_they_give_in_python(connection: duckdb.DuckDBPyConnection) -> None:
    chance = random.Random(SEED)
    known = rows(chance, 60)
    connection.register("many", table_of(known, RANDOM_NAMES))
    for line in lines(chance, max(LAW_EXAMPLES // 4, 400)):
        tree = parse(line, RANDOM_NAMES)
        expected = [PythonForm().value(tree)(row, NOW) for row in known]
        sql = f"SELECT {DuckForm().sql(tree)} FROM many ORDER BY row"
        found = [python_value(tree.type, value) for (value,) in connection.execute(sql, {"now": NOW} if tree.looks_at_now else None).fetchall()]
        assert found == expected, line
