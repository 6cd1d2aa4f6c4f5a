import pyarrow as pa
import pytest

from batch.linkage.attributes import comparable
from batch.linkage.blocking import add_keys
from batch.linkage.comparisons import comparison
from millrace.identity.linkage_rules import KINDS


@pytest.mark.parametrize(
    ("kind", "written", "compared"),
    [
        ("given_name", "  José-María ", "jose maria"),
        ("surname", "O'Neill", "oneill"),
        ("surname", "unknown", None),
        ("birth_date", "1971-06-24", "19710624"),
        ("birth_date", "1971-06-24T00:00:00Z", "19710624"),
        ("birth_date", "24/06/1971", "24061971"),
        ("postcode", "SW1A 1aa", "sw1a1aa"),
        ("phone", "+44 (0)20 7946-0000", "4402079460000"),
        ("email", " A.B@Example.COM ", "a.b@example.com"),
        ("email", "none", None),
        ("street", "12,  High St.", "12 high st"),
        ("other", "", None),
    ],
)
def test_values_are_made_comparable_by_their_kind(kind: str, written: str, compared: str | None) -> None:
    assert comparable(pa.table({"id": ["1"], "x": [written]}), {"x": kind})["x"].to_pylist() == [compared]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_levels_from_equal_to_different(kind: str) -> None:
    labels = [level["label_for_charts"] for level in comparison("x", {"x": kind})["comparison_levels"]]

    assert labels[:2] == ["missing", "equal"] and labels[-1] == "different"


def test_a_missing_part_makes_no_key_and_a_key_of_many_is_dropped() -> None:
    kinds = {"mail": "email", "born": "birth_date"}
    rows = pa.table({"mail": ["abcdef@x.y", "abcdef@x.y", None, "uvwxyz@x.y"], "born": ["19710624", "19710624", "19710624", None]})

    keyed, _ = add_keys(rows, kinds, largest=2)

    assert keyed["block_email"].to_pylist() == ["abcdef@x.y", "abcdef@x.y", None, "uvwxyz@x.y"]
    assert keyed["block_birth_date"].to_pylist() == [None] * 4


def test_swapped_names_meet() -> None:
    kinds = {"first": "given_name", "last": "surname"}

    keyed, _ = add_keys(pa.table({"first": ["ann", "lee"], "last": ["lee", "ann"]}), kinds, largest=9)

    assert len(set(keyed["block_names"].to_pylist())) == 1
