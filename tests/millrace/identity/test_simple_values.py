"""Which values are simple, against a second way to say it, and that their nodes join nobody."""

import itertools
import random

import pytest

from millrace.identity.nodes import node_of
from millrace.identity.rules import IdentityRules
from millrace.identity.simple_values import LONGEST, simple_values
from tests.laws.histories import SECRET
from tests.tiers import SEED

LETTERS = "abcdefghijklmnopqrstuvwxyz"
KEYBOARDS = ("qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm")


def is_simple(value: str) -> bool:
    """Step by step: the same step from each character to the next."""
    if value.isdigit():
        steps = {(ord(two) - ord(one)) % 10 for one, two in itertools.pairwise(value)}
        return steps <= {0} or (len(value) <= 40 and (steps <= {1} or steps <= {9}))
    if len(set(value)) == 1:
        return value[0] in LETTERS + "-_.*#?!"
    return any(value in row or value in row[::-1] for row in (LETTERS, *KEYBOARDS))


def test_every_simple_value_is_found_and_no_other() -> None:
    found = set(simple_values(4))
    assert all(is_simple(value) and 4 <= len(value) <= LONGEST for value in found)
    chance = random.Random(SEED)
    tried = {"".join(chance.choices("0123", k=chance.randrange(4, 7))) for _ in range(20_000)} | {"".join(chance.choices("qwes", k=4)) for _ in range(2_000)}
    tried |= {str(number) for number in range(1000, 20_000)} | {"aaaa", "a" * 64, "a" * 65, "12345678", "98765432109", "qwertz", "trewq", "abce", "aaab", "9012", "7777777"}
    assert {value for value in tried if value in found} == {value for value in tried if is_simple(value) and len(value) <= LONGEST}


@pytest.mark.parametrize(("namespace", "value", "is_blocked"), [
    ("user_id", "aaaaaa", True), ("user_id", "AAAAAA", True), ("user_id", "12345678", True), ("user_id", "aaaaa", False), ("user_id", "123457", False), ("user_id", "\uff11\uff12\uff13\uff14\uff15\uff16", True),
    ("phone", "+7777777", True), ("phone", "777-77 77", True), ("phone", "+49 30 1234", False), ("anonymous_id", "aaaaaa", False), ("email", "aaaaaa", False),
])  # fmt: skip
def test_only_namespaces_that_ask_for_it_have_simple_values_blocked(namespace: str, value: str, is_blocked: bool) -> None:
    namespaces = {"user_id": {"simple_from": 6}, "email": {}, "phone": {"simple_from": 6}, "anonymous_id": {}}
    rules = IdentityRules.model_validate({"namespaces": namespaces}).compiled(SECRET)
    assert (node_of(namespace, value, SECRET) in rules.blocked) == is_blocked
