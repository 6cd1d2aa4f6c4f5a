"""The expression language: what its lines mean in Python, and what it says about wrong ones."""

import sys
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.expressions import ExpressionError, PythonForm, names_of, parse
from millrace.expressions.operations import bucket_of
from tests.millrace.expressions.cases import CASES, NAMES, NOW, ROW


def value(text: str) -> Any:
    return PythonForm().value(parse(text, NAMES))(ROW, NOW)


def problems(text: str, **names: str) -> list[str]:
    with pytest.raises(ExpressionError) as caught:
        parse(text, NAMES | names)
    return caught.value.problems


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_a_line_is_what_the_case_says(text: str, expected: Any) -> None:
    found = value(text)
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize("text", [text for text, expected in CASES if expected in (True, False, None)])
def test_a_truth_and_its_negation_are_never_both_true_and_unknown_is_neither(text: str) -> None:
    tree = parse(text, NAMES)
    if tree.type == "boolean":
        form, found = PythonForm(), value(text)
        assert (form.is_true(tree)(ROW, NOW), form.is_false(tree)(ROW, NOW)) == (found is True, found is False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("spent > 3", ["at 1: unknown name 'spent' (did you mean 'spend'?)"]),
        (
            "spent > 3 and city > 2 and rond(spend) = 1",
            [
                "at 1: unknown name 'spent' (did you mean 'spend'?)",
                "at 20: comparison > needs two of one type, found text and integer; number(text) reads a number from a text",
                "at 28: unknown function 'rond' (did you mean 'round'?); allowed are abs, round, coalesce, min, max, lower, length, number, year, month, day, hour, days,"
                " count, bucket, followed_by, funnel, not_followed_by, segment, percentile",
            ],
        ),
        ("orders >= ", ["at 10: found the end; a name, a number, a text in quotes, a duration, a date, a function or ( is needed here"]),
        (
            "spent > 3 and (orders = 2",
            ["at 1: unknown name 'spent' (did you mean 'spend'?)", "at 26: found the end; ) is needed here"],
        ),
        ("1 < orders < 3", ["at 12: comparisons cannot be chained; write `a between x and y`, or two comparisons with and"]),
        ("orders", ["at 1: the whole is integer; boolean is needed here"]),
        ("orders and member", ["at 1: and needs something true or false, and this is integer; compare it, such as > 0"]),
        ("spend > 'a", ["at 9: the text that starts here has no closing '"]),
        ("now - seen > 3", ["at 12: comparison > needs two of one type, found duration and integer; a duration is written 3d, 12h or 30m"]),
        ("seen > 2025-02-30", ["at 8: 2025-02-30 is no date of the calendar; write it as 2025-01-31 or 2025-01-31T18:00:00Z"]),
        ("spend > 1.0000000001", ["at 9: number 1.0000000001 is too exact or too large: at most 29 digits before the point and 9 after it"]),
        ("spend > 3x", ["at 9: '3x' is neither a number (2.5), a duration (3d, 12h, 30m) nor a date (2025-01-31)"]),
        ("max(seen, now) > seen", ["at 1: now cannot be used here; compare it, such as now - x > 3d"]),
        ("now - seen > seen - now", ["at 12: now can be added or subtracted here, once: the instant at which the comparison turns must be known; write it as now - x > 3d"]),
        ("not_followed_by(viewed, bought)", ["at 1: not_followed_by needs a length of time to wait; it is written not_followed_by(first_times, then_times, within: 3d)"]),
        ("funnel(viewed) > 1", ["at 1: funnel takes 2 or more arguments, found 1; it is written funnel(first_times, second_times, …, within: 7d): how many of the steps somebody took in this order"]),
        ("funnel(viewed, bought, 3d, bought) > 1", ["at 1: funnel takes 2 to 10 lists of times and then within; it is written funnel(first_times, second_times, …, within: 7d): how many of the steps somebody took in this order"]),
        ("funnel(viewed, bought, before: 3d) > 1", ["at 24: funnel knows no before:; it is written funnel(first_times, second_times, …, within: 7d): how many of the steps somebody took in this order"]),
        ("percentile(spend) = 0.5", ["at 19: percentile is written percentile(trait) >= 0.9 (or >, <, <=) with a trait that is a number and a share between 0 and 1"]),
        ("segment('loyal')", ["at 1: unknown segment 'loyal'; allowed are none here"]),
        ("(" * 41 + "member" + ")" * 41, ["at 41: more than 40 brackets, functions or signs within each other; name parts of it as segments or traits of their own"]),
    ],
)  # fmt: skip
def test_every_problem_of_a_wrong_line_is_said_with_its_place(text: str, expected: list[str]) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text, NAMES, wanted=["boolean"])
    assert caught.value.problems == expected


def test_a_long_chain_is_refused_and_not_a_crash() -> None:
    assert "operations stand within each other" in problems("+".join(["orders"] * 2000) + " > 1")[0]


def test_a_long_list_and_many_clauses_are_fine() -> None:
    tree = parse(" and ".join(f"orders != {number}" for number in range(1000)) + " and orders in [" + ", ".join(map(str, range(100))) + "]", NAMES)
    assert PythonForm().is_true(tree)({"orders": 5000}, NOW) is False
    assert names_of(tree) == ("orders",)


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from([*"()[],:+-*/<>='\"`. ", "and", "or", "not", "in", "is", "null", "orders", "3d", "1", "now", "seen", "max("])).map(" ".join)
)
def test_any_text_is_an_expression_or_a_sentence_about_it(text: str) -> None:
    try:
        tree = parse(text, NAMES)
    except ExpressionError as error:
        assert error.problems and all(problem.startswith("at ") for problem in error.problems)
    else:
        PythonForm().value(tree)(ROW, NOW)
        assert sys.getrecursionlimit() >= 1000


NUMBERS = st.integers(-(10**40), 10**40) | st.integers(-(10**12), 10**12)


@given(NUMBERS, NUMBERS, st.sampled_from("+-*/"))
def test_arithmetic_is_that_of_decimals_rounded_half_away_from_zero_at_the_ninth_digit(one: int, other: int, sign: str) -> None:
    a, b, most = Fraction(one, 10**9), Fraction(other, 10**9), 10**20
    found = PythonForm().value(parse(f"a {sign} b", {"a": "number", "b": "number"}))({"a": one, "b": other}, NOW)
    exact = None if sign == "/" and b == 0 else {"+": a + b, "-": a - b, "*": a * b, "/": a / b if b else None}[sign]
    if exact is None or max(abs(a), abs(b), abs(exact)) >= most:
        assert found is None
        return
    with localcontext(prec=200):
        wanted = int((Decimal(exact.numerator) / Decimal(exact.denominator)).scaleb(9).quantize(Decimal(1), rounding=ROUND_HALF_UP))
    assert found == (wanted if abs(wanted) < 10**29 else None)


def test_a_bucket_is_the_hash_of_salt_and_text_that_anybody_can_compute() -> None:
    assert bucket_of("holdout", "p-1", 100) == int(sha256(b"holdout:p-1").hexdigest()[:15], 16) % 100


def test_buckets_of_many_people_are_about_even() -> None:
    counts = [0] * 4
    for number in range(8000):
        counts[bucket_of("abtest", f"person-{number}", 4)] += 1
    assert all(1800 < count < 2200 for count in counts)


def test_a_name_of_any_type_takes_the_type_it_is_compared_with() -> None:
    tree = parse("properties.price >= 2.5 and properties.category = 'tea' and properties.flag", lambda name: "any" if name.startswith("properties.") else None)
    assert [(node.value, node.type) for node in tree.walk() if node.op == "name"] == [
        ("properties.price", "number"), ("properties.category", "text"), ("properties.flag", "boolean")
    ]  # fmt: skip
