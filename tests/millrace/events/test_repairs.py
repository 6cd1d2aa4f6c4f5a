"""Repairs of rejected records: each part of a rule, which records a rule matches, what stays byte for byte."""

import json

import pytest
import yaml

from millrace.errors import ConfigurationError
from millrace.events.repairs import Rule, load_repairs, repaired

ROW = {"reason": "plan_violation", "source": "shop"}
ORDER = {"event": "Order Completed", "properties": {"total": "12.50", "n": 1}}


def after(rule: dict[str, object], message: object = ORDER, **row: str) -> object:
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return json.loads(repaired(payload, ROW | row, [Rule.model_validate(rule)]))


@pytest.mark.parametrize(
    ("rule", "properties"),
    [
        ({"rename": {"properties.total": "properties.revenue"}}, {"n": 1, "revenue": "12.50"}),
        ({"rename": {"properties.total": "properties.money.total"}}, {"n": 1, "money": {"total": "12.50"}}),
        ({"rename": {"properties.absent": "properties.n"}}, {"total": "12.50", "n": 1}),
        ({"convert": {"properties.total": "number", "properties.n": "text"}}, {"total": 12.5, "n": "1"}),
        ({"convert": {"properties.n": "boolean", "properties.absent": "number"}}, {"total": "12.50", "n": True}),
        ({"convert": {"properties.total": "boolean"}}, {"total": "12.50", "n": 1}),
        ({"set": {"properties.n": None, "properties.a.b": [1]}}, {"total": "12.50", "n": None, "a": {"b": [1]}}),
        ({"default": {"properties.n": 9, "properties.currency": "EUR"}}, {"total": "12.50", "n": 1, "currency": "EUR"}),
        ({"drop": ["properties.n", "properties.absent", "absent.too"]}, {"total": "12.50"}),
        ({"rename": {"properties.total": "properties.revenue"}, "convert": {"properties.revenue": "number"}, "drop": ["properties.n"]}, {"revenue": 12.5}),
    ],
)
def test_each_part_of_a_rule_does_what_it_says(rule, properties):
    assert after(rule)["properties"] == properties


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("-7", -7), (" 1e3 ", 1000.0), (".5", 0.5), ("1,5", "1,5"), ("1e999999999", "1e999999999"), ("٣", "٣"), ("", ""), (True, True)])
def test_a_number_is_made_of_what_counts_as_one_only(text, number):
    assert after({"convert": {"properties.x": "number"}}, {"properties": {"x": text}})["properties"] == {"x": number}


def test_bytes_of_another_encoding_are_read_as_what_they_were():
    rule = {"where": {"reason": "invalid_utf8"}, "decode": "latin-1"}
    assert after(rule, '{"name":"Jörg"}'.encode("latin-1"), reason="invalid_utf8") == {"name": "Jörg"}


@pytest.mark.parametrize("where", [{"event": "Other"}, {"source": "blog"}, {"properties.n": "1"}, {"properties.absent": 1}])
def test_what_a_rule_does_not_match_stays_byte_for_byte(where):
    payload = b'{ "event":"Order Completed", "properties":{"n":1.50} }'
    assert repaired(payload, ROW, [Rule.model_validate({"where": where, "set": {"x": 1}})]) == payload


@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b'{"a":', b"[" * 5000])
def test_what_is_no_message_stays_byte_for_byte(payload):
    assert repaired(payload, ROW, [Rule.model_validate({"set": {"x": 1}})]) == payload


def test_everything_wrong_with_a_file_is_told_at_once(tmp_path):
    path = tmp_path / "repair.yml"
    path.write_text(yaml.safe_dump([{"renam": {"a": "b"}}, {"convert": {"a": "integer"}}, {"drop": ["a..b"]}]), encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_repairs(path)
    text = str(caught.value)
    assert "repair 1.renam: unknown key (did you mean 'rename'?)" in text
    assert "repair 2.convert.a: found 'integer'" in text
    assert "repair 3.drop.1: found 'a..b'; a path is names parted by dots" in text
    path.write_text("rename: {a: b}", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="a list of repairs is needed"):
        load_repairs(path)
