"""Segments: how they are declared, what is said about wrong ones, nesting, and the instants at which a verdict turns."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.definitions import Definitions, load_definitions
from millrace.errors import ConfigurationError
from millrace.segments import CompiledSegment, compile_segments
from millrace.traits.algebra import UNIT

VIEWS = """
person:
  key: node
  traits:
    orders: {event: Order, op: count}
    spend: {event: Order, op: sum, value: properties.revenue}
    city: {type: identify, op: last, value: traits.city}
    seen: {op: last, value: event_time}
    first: {op: first, value: event_time}
"""
DAY = 86_400_000_000
NOW = 20_000 * DAY + 1234


def loaded(folder: Path, segments: str, views: str = VIEWS) -> Definitions:
    (folder / "views.yml").write_text(views, encoding="utf-8")
    (folder / "segments.yml").write_text(segments, encoding="utf-8")
    return load_definitions(folder)


def problems(folder: Path, segments: str, views: str = VIEWS) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        loaded(folder, segments, views)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def compiled(rules: dict[str, str], **thresholds: Any) -> dict[str, CompiledSegment]:
    views = {"person": {"key": "node", "traits": {
        "orders": {"op": "count"}, "spend": {"op": "sum", "value": "properties.revenue"}, "city": {"op": "last", "value": "traits.city"},
        "seen": {"op": "last", "value": "event_time"}, "first": {"op": "first", "value": "event_time"}}}}  # fmt: skip
    return {segment.name: segment for segment in compile_segments(Definitions.model_validate({"views": views, "segments": rules}), **thresholds)}


def test_a_segment_is_a_line_or_a_mapping(tmp_path: Path) -> None:
    definitions = loaded(tmp_path, 'loyal: "orders >= 3"\nrich: {rule: "spend > 100.5", kind: transactional, description: who spends}\n')
    assert definitions.segments["loyal"].rule == "orders >= 3"
    assert definitions.segments["rich"].kind == "transactional"
    assert Definitions.from_json(definitions.to_json()) == definitions


def test_without_the_file_or_with_an_empty_one_there_are_no_segments(tmp_path: Path) -> None:
    assert loaded(tmp_path, "# none yet\n").segments == {}
    (tmp_path / "segments.yml").unlink()
    assert load_definitions(tmp_path).segments == {}


def test_a_changed_rule_changes_the_hash_of_segments_and_not_the_one_of_states(tmp_path: Path) -> None:
    one, other, said = (loaded(tmp_path, text) for text in ('a: "orders > 1"\n', 'a: "orders > 2"\n', 'a: {rule: "orders > 1", description: words}\n'))
    assert one.hash == other.hash == said.hash
    assert one.segments_hash == said.segments_hash != other.segments_hash


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    text = """
Loyal: "orders >= 3"
spend: "orders >= 3"
typo: "order >= 3 and sity = 'x'"
a: "not b"
b: "c and orders > 1"
c: segment("a")
itself: "itself or orders > 1"
"""
    assert problems(tmp_path, text) == [
        "segments.yml: Loyal: the name is not allowed: lower-case letters, digits and _, starting with a letter, and no word of the language such as and, between, contains, false",
        "segments.yml: spend: there is a trait spend already; choose another name",
        "segments.yml: typo.rule at 1: unknown name 'order' (did you mean 'orders'?)",
        "segments.yml: typo.rule at 16: unknown name 'sity' (did you mean 'city'?)",
        "segments.yml: a names b names c names a: segments cannot stand on each other in a circle; take one of these names out of its rule",
        "segments.yml: itself names itself: segments cannot stand on each other in a circle; take one of these names out of its rule",
    ]


def test_wrong_shapes_are_said_with_what_is_allowed(tmp_path: Path) -> None:
    assert problems(tmp_path, "a: {role: x, kind: demografic}\nb: [1]\n") == [
        "segments.yml: a.rule: missing",
        "segments.yml: a.kind: found 'demografic' (did you mean 'demographic'?); allowed are demographic, behavioural, psychographic, transactional",
        "segments.yml: a.role: unknown key (did you mean 'rule'?); allowed are rule, kind, description",
        'segments.yml: b: a rule in quotes is needed, or a mapping such as {rule: "orders_30d >= 3", kind: transactional}',
    ]
    assert "a mapping of names to rules is needed" in problems(tmp_path, "[1]\n")[0]


def test_too_deep_nesting_is_a_problem(tmp_path: Path) -> None:
    chain = 's0: "orders > 1"\n' + "".join(f's{n}: "not s{n - 1}"\n' for n in range(1, 25))
    assert problems(tmp_path, chain) == ["segments.yml: s20: segments are nested 21 deep; at most 20 are allowed"]


def test_problems_of_views_are_said_without_those_they_would_cause_in_rules(tmp_path: Path) -> None:
    found = problems(tmp_path, 'a: "orders > 1"\nb: {role: x}\n', VIEWS.replace("op: count", "op: cont"))
    assert [problem.split(":")[0] for problem in found] == ["views.yml", "segments.yml", "segments.yml"]


def test_a_nested_segment_is_in_or_out_and_unknown_counts_as_out() -> None:
    found = compiled({"others": 'not segment("big")', "big": "spend > 100"})
    assert [found["big"].order, found["others"].order, list(found)] == [0, 1, ["big", "others"]]
    assert found["others"].traits == ("spend",)
    for spend, is_big in ((101 * UNIT, True), (100 * UNIT, False), (None, False)):
        assert (found["big"].holds({"spend": spend}, NOW), found["others"].holds({"spend": spend}, NOW)) == (is_big, not is_big)


def test_a_percentile_is_a_threshold_that_a_publish_has_settled() -> None:
    rule = {"top": "percentile(spend) >= 0.9", "rest": "percentile(spend) < 0.9"}
    key = ("spend", "reaches", 900_000_000)
    assert compiled(rule)["top"].thresholds == (key,)
    settled = compiled(rule, thresholds={key: 50 * UNIT})
    assert [settled["top"].holds({"spend": spend * UNIT}, NOW) for spend in (49, 50, 51)] == [False, True, True]
    assert [settled["rest"].holds({"spend": spend * UNIT}, NOW) for spend in (49, 50, 51)] == [True, False, False]
    assert not compiled(rule)["top"].holds({"spend": 10**30}, NOW)


@pytest.mark.parametrize(
    ("rule", "values", "change"),
    [
        ("now - seen > 3d", {"seen": NOW}, NOW + 3 * DAY + 1),
        ("now - seen >= 3d", {"seen": NOW}, NOW + 3 * DAY),
        ("now - seen > 3d", {"seen": NOW - 4 * DAY}, None),
        ("now - seen > 3d", {}, None),
        ("now - seen between 3d and 5d", {"seen": NOW - 4 * DAY}, NOW + DAY + 1),
        ("now - seen > 3d and orders > 1", {"seen": NOW, "orders": 1}, None),
        ("now - seen > 3d and orders > 1", {"seen": NOW, "orders": 2}, NOW + 3 * DAY + 1),
        ("day(now) = 1 or days(now - seen) = 7", {"seen": NOW}, NOW + 7 * DAY),
        ("now > 2030-01-01", {}, 1_893_456_000_000_001),
        ("orders > 1", {"orders": 1}, None),
    ],
)
def test_the_next_change_is_when_the_verdict_turns(rule: str, values: dict[str, Any], change: int | None) -> None:
    assert compiled({"a": rule})["a"].next_change(values, NOW) == change


def test_a_segment_changes_when_one_it_names_does() -> None:
    assert compiled({"awake": "not asleep", "asleep": "now - seen > 3d"})["awake"].next_change({"seen": NOW}, NOW) == NOW + 3 * DAY + 1


LENGTHS = st.integers(0, 9)
CLAUSES = st.one_of(
    st.builds("now - {} {} {}s".format, st.sampled_from(["seen", "first"]), st.sampled_from(["<", "<=", "=", "!=", ">=", ">"]), LENGTHS),
    st.builds("{}s {} seen - now".format, LENGTHS, st.sampled_from(["<", ">="])),
    st.builds("now {} seen + {}s".format, st.sampled_from(["<", "<=", "=", ">"]), LENGTHS),
    st.builds("days(now - seen + {}s) {} 0".format, LENGTHS, st.sampled_from(["=", ">"])),
    st.builds("days(seen - now) {} 0".format, st.sampled_from(["<", ">="])),
    st.builds("day(now + {}s) = 1".format, LENGTHS),
    st.builds("orders > {}".format, LENGTHS),
)
RULES = st.recursive(
    CLAUSES,
    lambda inner: st.builds("({} and {})".format, inner, inner) | st.builds("({} or {})".format, inner, inner) | st.builds("not ({})".format, inner),
    max_leaves=6,
)


@given(RULES, st.none() | st.integers(-5, 5), st.none() | st.integers(-5, 5), st.none() | LENGTHS, st.sampled_from([0, 1, 999_999]))
def test_no_verdict_turns_before_the_next_change(rule: str, seen: int | None, first: int | None, orders: int | None, off: int) -> None:
    segment, start = compiled({"a": rule})["a"], 20_000 * DAY - 3_000_000 + off
    values = {"seen": None if seen is None else start + seen * 1_000_000, "first": None if first is None else start + first * 1_000_000, "orders": orders}
    verdict, change = segment.holds(values, start), segment.next_change(values, start)
    instants = {start + step * 1_000_000 + near for step in range(16) for near in (-1, 0, 1)} | {20_000 * DAY + near for near in (-1, 0, 1)}
    for instant in sorted(instant for instant in instants if instant > start and (change is None or instant < change)):
        assert segment.holds(values, instant) == verdict
    if change is not None:
        assert change > start and (segment.holds(values, change) != verdict or change > start + 9 * DAY)
