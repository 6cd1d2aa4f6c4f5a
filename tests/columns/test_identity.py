"""Identifiers as Spark columns against Python, on the same values in one Spark job."""

import random
import unicodedata

import pytest
from pyspark.sql import functions as F

from millrace.columns.identity import edges_of, hint_of, identifier_columns, node_of, normal_value
from millrace.edges import edges_of as edges_in_python
from millrace.identifiers import gather_identifiers
from millrace.identity import NAMESPACES, normalise
from millrace.identity import node_of as node_in_python
from tests.laws.histories import SECRET, history
from tests.laws.law import seeded
from tests.laws.oracle import node_of as oracle_node_of
from tests.laws.oracle import read_log
from tests.laws.product import events_table, view_of
from tests.tiers import SEED

pytestmark = pytest.mark.spark
SPACES = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\u00a0\u1680\u2000\u2009\u2028\u2029\u202f\u205f\u3000\u200b\ufeff"
PICKED = [
    "", " ", "a", " a ", "\ta\n", "\x0b\x0c", "\u00a0a\u00a0", "\ufeffa", "A@B.C", "İ@X", "ẞ@x", "ÄÖÜ@X", "Σ", "\u0130", "k\u212a", "e\u0301", "\u00e9", "+1", "++1", "+", "-1", "1-2 3", "٣", "１２", "+٤٩", "\x00", "a\x00b", "\U0001f34e",
    "👨‍👩‍👧", "\u202eabc", "a" * 2_000, "ﷺ" * 300, "a@b@c", "@", "a@", "@b", "•••", "x\ny@z", "\n@z", "0", "00", "null", "NULL", "\\", "'", '"', "%", "$1", "a$1b", *SPACES, *(f"{space}x{space}" for space in SPACES),
]  # fmt: skip


def random_text(chance: random.Random) -> str:
    pools = ("abcABC019+-@. \t", SPACES + "x", "".join(chr(code) for code in range(0x20, 0x2FF)), "İıſKÅßΣς😀日本")
    return "".join(chance.choice(chance.choice(pools)) for _ in range(chance.randrange(12)))


CHANCE = random.Random(SEED)
VALUES = list(dict.fromkeys([*PICKED, *(random_text(CHANCE) for _ in range(400))]))


@pytest.fixture(scope="module")
def rows(spark):
    frame = spark.createDataFrame([(number, value) for number, value in enumerate(VALUES)], "number INT, value STRING").coalesce(1)
    normal = frame.select("number", *(normal_value(namespace, F.col("value")).alias(f"normal_{namespace}") for namespace in NAMESPACES))
    found = normal.select(
        "number", *(f"normal_{namespace}" for namespace in NAMESPACES),
        *(node_of(namespace, F.col(f"normal_{namespace}"), SECRET).alias(f"token_{namespace}") for namespace in NAMESPACES),
        *(hint_of(namespace, F.col(f"normal_{namespace}")).alias(f"shown_{namespace}") for namespace in NAMESPACES),
        *identifier_columns([(namespace, F.col(f"normal_{namespace}")) for namespace in NAMESPACES], SECRET),
    )  # fmt: skip
    return sorted(gather_identifiers(found.toArrow()).to_pylist(), key=lambda row: row["number"])


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_value_is_normalised_and_hashed_as_in_python(rows, namespace):
    for value, row in zip(VALUES, rows, strict=True):
        shown = [value, *(unicodedata.name(letter, hex(ord(letter))) for letter in value[:5])]
        assert (row[f"normal_{namespace}"] or "") == normalise(namespace, value), shown
        assert row[f"token_{namespace}"] == node_in_python(namespace, value, SECRET) == oracle_node_of(namespace, value, SECRET), shown


def test_a_secret_of_the_length_of_a_block_and_longer_values_are_hashed_as_hmac_says(spark):
    for secret in (b"", b"k", b"\xff" * 63, b"\x00" * 64):
        (row,) = spark.range(1).select(node_of("email", F.lit("ann@example.com"), secret)).collect()
        assert row[0] == oracle_node_of("email", "ann@example.com", secret)


def test_the_identifiers_of_an_event_come_by_priority_without_the_absent_ones(rows):
    for value, row in zip(VALUES, rows, strict=True):
        nodes = [node for namespace in NAMESPACES if (node := node_in_python(namespace, value, SECRET))]
        assert [one["node"] for one in row["identifiers"]] == nodes


def test_a_hint_shows_at_most_two_letters_at_each_end_and_the_domain(rows):
    for row in rows:
        for namespace in NAMESPACES:
            normal, hint = row[f"normal_{namespace}"], row[f"shown_{namespace}"]
            if normal is None:
                continue
            before, dots, after = hint.partition("•••")
            assert dots, (namespace, normal)
            assert len(before) <= 2
            assert len(after) <= 2 or (namespace == "email" and after.startswith("@"))


def test_edges_of_a_frame_in_two_slices_are_those_of_one_table(spark):
    log = read_log(history(seeded(SEED), 60, 4), SECRET)
    table = events_table(log.counted, view_of({"all": {"op": "count"}}))
    frame = spark.createDataFrame(table.select(["identifiers", "event_time", "epoch", "partition", "offset"])).repartition(3)
    keys = [("a", "ascending"), ("b", "ascending")]
    assert edges_of(frame).toArrow().sort_by(keys).to_pylist() == edges_in_python(table).sort_by(keys).to_pylist()
