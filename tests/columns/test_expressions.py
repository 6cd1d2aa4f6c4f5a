"""Expressions as Spark columns against Python: the cases of the language, and random lines over random rows, each in a few Spark jobs; any zone, ANSI or not."""

import random
from typing import TYPE_CHECKING

import pytest

from millrace.columns.expressions import ColumnForm
from millrace.expressions import PythonForm, parse
from tests.millrace.expressions import random_lines
from tests.millrace.expressions.cases import CASES, NAMES, NOW, ROW
from tests.millrace.expressions.rows import python_value, table_of
from tests.tiers import LAW_EXAMPLES, SEED

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark
AT_ONCE = 50


@pytest.mark.parametrize("settings", [{}, {"spark.sql.session.timeZone": "America/New_York", "spark.sql.ansi.enabled": "false"}], ids=["usual", "other"])  # fmt: skip
def test_columns_give_what_the_cases_and_python_say(spark: "SparkSession", settings: dict[str, str]) -> None:
    chance = random.Random(SEED)
    known = random_lines.rows(chance, 40)
    before = {key: spark.conf.get(key) for key in settings}
    try:
        for key, value in settings.items():
            spark.conf.set(key, value)
        check(spark, [ROW], NAMES, [text for text, _ in CASES])
        check(spark, known, random_lines.NAMES, random_lines.lines(chance, max(LAW_EXAMPLES // 10, 200)))
    finally:
        for key, value in before.items():
            spark.conf.set(key, value)


def check(spark: "SparkSession", rows: list[dict], names: dict[str, str], lines: list[str]) -> None:
    frame = spark.createDataFrame(table_of(rows, names)).localCheckpoint()
    for start in range(0, len(lines), AT_ONCE):
        trees = [parse(line, names) for line in lines[start : start + AT_ONCE]]
        found = frame.orderBy("row").select(*(ColumnForm(NOW).column(tree).alias(f"c{place}") for place, tree in enumerate(trees))).toArrow()
        for place, tree in enumerate(trees):
            expected = [PythonForm().value(tree)(row, NOW) for row in rows]
            assert [python_value(tree.type, value) for value in found[f"c{place}"].to_pylist()] == expected, lines[start + place]
