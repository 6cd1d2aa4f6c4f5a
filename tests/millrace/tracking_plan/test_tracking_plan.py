"""Tracking plans: what a directory may hold, which new versions break an old one, which field of a message violates what."""

import json
from pathlib import Path

import pytest

from millrace.definitions import Definitions, load_definitions
from millrace.errors import ConfigurationError
from millrace.tracking_plan.evolution import breaking_changes
from millrace.tracking_plan.plan import EventPlan
from millrace.tracking_plan.verdicts import Judge

VIEWS = "person: {key: node, traits: {orders: {event: Order Completed, op: count}}}\n"
ORDER = {
    "type": "object",
    "properties": {
        "properties": {
            "type": "object",
            "required": ["revenue"],
            "properties": {
                "revenue": {"type": "number", "minimum": 0},
                "coupon": {"type": "string", "pattern": "^[A-Z]+$"},
                "products": {"type": "array", "items": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}},
            },
            "additionalProperties": {"type": ["string", "number"]},
        }
    },
}


def load(folder: Path, **files: object) -> Definitions:
    (folder / "views.yml").write_text(VIEWS, encoding="utf-8")
    (folder / "tracking_plan").mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / "tracking_plan" / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return load_definitions(folder)


def plan(rules: object = ORDER, **more: object) -> dict[str, object]:
    return {"event": "Order Completed", "rules": rules, **more}


def judge(*plans: dict[str, object]) -> Judge:
    return Judge(tuple(EventPlan.model_validate(one) for one in plans), "0123456789abcdef")


def told(found: Judge, properties: object, **more: object) -> list[tuple[str, str]]:
    message = {"type": "track", "event": "Order Completed", "userId": "u", "properties": properties, **more}
    return list(found.violations(json.dumps(message).encode(), "track", "Order Completed"))


def test_a_plan_is_read_with_the_definitions_and_survives_their_json(tmp_path):
    found = load(tmp_path, order=plan(), identify={"type": "identify", "rules": {"required": ["traits"]}})
    assert {one.name for one in found.tracking_plan} == {"Order Completed", "identify calls"}
    assert Definitions.from_json(found.to_json()) == found
    assert Definitions.from_json(found.to_json()).plan_hash == found.plan_hash


def test_without_a_plan_there_is_no_hash_and_with_one_it_changes_with_rules_and_modes_only(tmp_path):
    assert load(tmp_path).plan_hash is None
    found = load(tmp_path, order=plan())
    assert load(tmp_path, order=plan(description="money")).plan_hash == found.plan_hash
    assert load(tmp_path, order=plan(), page={"type": "page", "rules": {}}).plan_hash != found.plan_hash
    (tmp_path / "tracking_plan" / "page.json").unlink()
    (tmp_path / "sources.yml").write_text("shop: {mode: block, party: second}", encoding="utf-8")
    blocking = load(tmp_path)
    assert blocking.plan_hash != found.plan_hash
    assert blocking.hash == found.hash


def test_everything_wrong_with_a_plan_is_told_at_once(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        load(
            tmp_path, a='{"event": "x", "event": "y", "rules": {}}', b=plan({"type": "nubmer"}), c=plan({"$ref": "http://example.org/schema"}), d={"rules": {}},
            e=plan(vesrion=2), f="{", g=plan({"pattern": "(?=a)b"}), h={"type": "identify", "event": "x", "rules": {}},
        )  # fmt: skip
    lines = str(caught.value).splitlines()
    sentences = ["key 'event' is given twice", "not usable as JSON Schema", "not usable as JSON Schema", "names its event", "did you mean 'version'", "not readable as JSON", "not usable as JSON Schema", "identify calls have no event"]  # fmt: skip
    for name, sentence in zip("abcdefgh", sentences, strict=True):
        assert any(f"{name}.json: " in line and sentence in line for line in lines), (name, lines)


def test_a_version_that_breaks_the_one_before_is_refused_with_both_named(tmp_path):
    text = json.loads(json.dumps(ORDER))
    text["properties"]["properties"]["properties"]["revenue"] = {"type": "string"}
    with pytest.raises(ConfigurationError, match=r"Order Completed: version 2 breaks version 1: properties\.revenue was number, is string"):
        load(tmp_path, one=plan(), two=plan(text, version=2))
    with pytest.raises(ConfigurationError, match=r"version 1 of Order Completed is in one\.json too"):
        load(tmp_path, one=plan(), two=plan(ORDER))


def fields(**properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (fields(a={"type": "number"}), fields(a={"type": "number"}, b={"type": "string"})),
        (fields(a={"type": "integer"}), fields(a={"type": "number"})),
        (fields(a={"type": "string"}), fields(a={"type": ["string", "null"]})),
        (fields(a={"enum": ["x"]}), fields(a={"enum": ["x", "y"]})),
        (fields(a={"type": "number", "minimum": 1, "maximum": 5}), fields(a={"type": "number", "minimum": 0, "maximum": 9})),
        (fields(a={"type": "string", "pattern": "^x"}), fields(a={"type": "string", "description": "any"})),
        ({**fields(a={}), "required": ["a"], "additionalProperties": False}, fields(a={})),
    ],
)
def test_an_addition_breaks_nothing(old, new):
    assert list(breaking_changes(old, new)) == []


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        (fields(a={"type": "number"}), fields(a={"type": "string"}), "a was number, is string"),
        (fields(a={"type": "number"}), fields(a={"type": ["number", "string"]}), "a was number, is number or string"),
        (fields(a={"type": "number"}), fields(a={"type": "integer"}), "a was number, is integer"),
        (fields(a={"type": "number"}), fields(), "a is gone"),
        (fields(a={}), {**fields(a={}), "required": ["a"]}, "a is required now"),
        (fields(a={"enum": ["x", "y"]}), fields(a={"enum": ["x"]}), "a no longer takes 'y'"),
        (fields(a={"minimum": 0}), fields(a={"minimum": 1}), "a: minimum was 0, is 1"),
        (fields(a={}), {**fields(a={}), "additionalProperties": False}, "* was anything, is nothing"),
        (fields(a={"items": {"type": "number"}}), fields(a={"items": {"type": "string"}}), "a[] was number, is string"),
        (fields(a=fields(b={"type": "number"})), fields(a=fields(b={"type": "boolean"})), "a.b was number, is boolean"),
        (fields(a={"anyOf": [{}]}), fields(a={"anyOf": [{"type": "null"}]}), "a: anyOf was"),
    ],
)
def test_what_readers_or_old_events_would_trip_over_breaks(old, new, change):
    (found,) = breaking_changes(old, new)
    assert found.startswith(change)


def test_violations_name_the_field_as_views_do_and_the_rule():
    found = judge(plan())
    assert told(found, {"revenue": 1, "coupon": "ABC", "x": 1}) == []
    assert told(found, {"revenue": "1", "coupon": "abc", "products": [{"id": "1"}, {"id": 2}, {}]}) == [
        ("properties.coupon", "pattern"), ("properties.products[].id", "required"), ("properties.products[].id", "type"), ("properties.revenue", "type"),
    ]  # fmt: skip
    assert told(found, {}) == [("properties.revenue", "required")]
    assert told(found, None) == [("properties", "type")]


def test_names_that_a_sender_made_up_and_values_are_never_told():
    assert told(judge(plan()), {"revenue": -5, "anna@example.org": [], "secret": {}}) == [("properties.*", "type"), ("properties.revenue", "minimum")]


def test_an_event_is_judged_by_the_version_it_names_and_by_the_newest_without_one():
    strict = {**ORDER, "required": ["properties"]}
    found = judge(plan(strict), plan(fields(properties=fields(revenue={}, coupon={"type": "string"})), version=2))
    assert told(found, {"coupon": 5}) == [("properties.coupon", "type")]
    for stated in (1, "1"):
        assert told(found, {"coupon": "x"}, context={"protocols": {"event_version": stated}}) == [("properties.coupon", "pattern"), ("properties.revenue", "required")]
    for stated in (3, "latest", 1.5, True, {}, "1" * 5000):
        assert told(found, {}, context={"protocols": {"event_version": stated}}) == [("context.protocols.event_version", "unknown_version")]


def test_events_outside_the_plan_are_not_judged():
    found = judge(plan(), {"type": "page", "rules": {"required": ["properties"]}}, {"type": "page", "event": "Home", "rules": {}})
    assert found.violations(b"{}", "track", "Other") == ()
    assert found.violations(b"not even JSON", None, None) == ()
    assert found.violations(b"{}", "page", "Any") == (("properties", "required"),)
    assert found.violations(b"{}", "page", "Home") == ()


@pytest.mark.parametrize("payload", [b'{"properties":{"revenue":1e999}}', b"{" + b'"a":{' * 70 + b"}" * 71, b"[]", b"\xff", b'{"a":"\\ud800"}'])
def test_what_no_reader_can_read_is_a_violation_and_no_fault(payload):
    assert judge(plan()).violations(payload, "track", "Order Completed") == (("message", "unreadable"),)


def test_a_schema_that_refers_to_itself_ends():
    loop = plan({"properties": {"properties": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}], "properties": {"x": {"$ref": "#/$defs/a"}}}}})
    assert told(judge(loop), {"x": {"x": {}}}) == []


def test_a_verdict_on_a_record_is_read_back_under_the_same_plan_only():
    found = judge(plan())
    wrong = tuple(told(found, {"revenue": "ä"}))
    assert found.stamped(found.stamp(wrong).decode()) == wrong
    assert found.stamped(found.stamp(()).decode()) == ()
    assert found.stamped("fedcba9876543210") is None
    assert found.stamped(found.stamp(()).decode() + "[[") is None
    assert found.stamped("") is None
