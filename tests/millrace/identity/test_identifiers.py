"""From clear values to the identifiers of an event, against Python's own HMAC and the oracle."""

import random
import unicodedata
from collections.abc import Sequence

import pyarrow as pa
import pytest

from millrace.identity.identifiers import Nodes, identifiers_of
from millrace.identity.nodes import NAMESPACES, hint_of, node_of, normalise
from millrace.tables.catalogue import IDENTIFIER
from tests.laws.histories import SECRET
from tests.laws.oracle import node_of as oracle_node_of
from tests.tiers import SEED

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


def listed(*places: tuple[str, list[str | None]]) -> tuple[list[list[str]], list[str | None]]:
    lists, owners = identifiers_of([(namespace, pa.array(values, pa.string())) for namespace, values in places], Nodes(SECRET))
    return [[one["node"] for one in found] for found in lists.to_pylist()], owners.to_pylist()


def entries(nodes: Nodes, namespace: str, values: Sequence[str]) -> list[tuple[str | None, str | None]]:
    (numbers,) = nodes.numbers_of([(namespace, values)])
    return [(nodes.names[number].as_py(), nodes.hints[number].as_py()) for number in numbers.tolist()]


def node(namespace: str, value: str) -> str:
    found = oracle_node_of(namespace, value, SECRET)
    assert found
    return found


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_a_value_is_normalised_and_hashed_as_the_oracle_does(namespace):
    nodes = Nodes(SECRET)
    for _ in range(2):  # the second time from memory
        for value, (found, hint) in zip(VALUES, entries(nodes, namespace, VALUES), strict=True):
            shown = [value, *(unicodedata.name(letter, hex(ord(letter))) for letter in value[:5])]
            assert found == node_of(namespace, value, SECRET) == oracle_node_of(namespace, value, SECRET), shown
            assert hint == (hint_of(namespace, normalise(namespace, value)) if found else None)


def test_a_secret_of_any_length_is_hashed_as_hmac_says():
    for secret in (b"", b"k", b"\xff" * 63, b"\x00" * 64, b"x" * 65, b"y" * 200):
        assert entries(Nodes(secret), "email", ["ann@example.com"])[0][0] == oracle_node_of("email", "ann@example.com", secret)


def test_more_values_than_are_remembered_change_nothing(monkeypatch):
    monkeypatch.setattr("millrace.identity.identifiers._REMEMBERED", 2)
    nodes = Nodes(SECRET)
    assert [entries(nodes, "user_id", [value])[0][0] for value in "abcabca"] == [node("user_id", value) for value in "abcabca"]


def test_a_hint_shows_at_most_two_letters_at_each_end_and_the_domain():
    for value in VALUES:
        for namespace in NAMESPACES:
            if normal := normalise(namespace, value):
                before, dots, after = hint_of(namespace, normal).partition("•••")
                assert dots, (namespace, normal)
                assert len(before) <= 2
                assert len(after) <= 2 or (namespace == "email" and after.startswith("@"))


def test_places_come_in_order_without_the_empty_ones_and_the_first_owns():
    found, owners = listed(("user_id", ["a", None, " ", "d"]), ("email", [None, "b", None, "e"]), ("anonymous_id", ["c", "f", None, "g"]))
    a, d, b, e = node("user_id", "a"), node("user_id", "d"), node("email", "b"), node("email", "e")
    assert found == [[a, node("anonymous_id", "c")], [b, node("anonymous_id", "f")], [], [d, e, node("anonymous_id", "g")]]
    assert owners == [a, b, None, d]


def test_a_node_that_stands_in_two_places_is_there_once_at_the_first():
    found, _ = listed(("user_id", ["a", "a", None, "a"]), ("user_id", ["b", " a ", "c", None]), ("anonymous_id", ["a", None, None, None]))
    assert found == [[node("user_id", "a"), node("user_id", "b"), node("anonymous_id", "a")], [node("user_id", "a")], [node("user_id", "c")], [node("user_id", "a")]]


def test_no_rows_and_rows_without_identifiers_have_the_type_of_the_log():
    for values in ([], [None], ["", " "]):
        lists, owners = identifiers_of([("user_id", pa.array(values, pa.string())), ("email", pa.nulls(len(values), pa.string()))], Nodes(SECRET))
        assert lists.type == pa.list_(IDENTIFIER)
        assert owners.null_count == len(values)
