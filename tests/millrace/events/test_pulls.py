"""Declarations of pulls: what is refused and with which sentence; secrets never stand in the file."""

import pytest

from millrace.definitions import Definitions, load_definitions
from millrace.errors import ConfigurationError

VIEWS = "person: {key: node, traits: {orders: {event: Order Completed, op: count}}}\n"
FILES = "kind: files, path: in, format: csv"


def load(folder, text):
    (folder / "views.yml").write_text(VIEWS, encoding="utf-8")
    (folder / "sources.yml").write_text(text, encoding="utf-8")
    return load_definitions(folder)


def test_a_pull_stands_beside_what_a_source_says_already(tmp_path):
    source = load(tmp_path, f"crm: {{party: third, retention: 90d, pull: {{{FILES}, entity: customers, key: [id], columns: {{id: text, at: {{type: time, format: '%Y'}}}}}}}}").source("crm")
    assert (source.party, source.pull.entity, source.pull.columns["at"].format) == ("third", "customers", "%Y")


def test_pulls_of_every_kind_survive_json(tmp_path):
    web = "url: 'https://a.b/c', paging: {by: cursor, next: /n}, snapshot: true"
    table = "url: 'postgresql://h/d', table: t, cursor: c, overlap: 5m"
    target = "entity: customers, key: [id]"
    kinds = [f"{FILES}, quiet: 1m", f"kind: http, {web}", f"kind: jdbc, {table}", "kind: debezium, bootstrap: 'a:1', topic: t", "kind: own, connector: 'a:B', options: {x: 1}"]
    events = f"{FILES}, events: {{event: x, user_id: /u, properties: {{n: {{at: /n, as: number}}}}}}"
    found = load(tmp_path, "\n".join(f"s{number}: {{pull: {{{text}}}}}" for number, text in enumerate([*(f"{kind}, {target}" for kind in kinds), events])))
    assert Definitions.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("pull", "sentence"),
    [
        (f"{FILES}, entity: customers, key: [id], delimitr: ';'", r"crm\.pull\.delimitr: unknown key \(did you mean 'delimiter'\?\)"),
        (f"{FILES}, entity: customers, key: [id], columns: {{a: numbr}}", r"crm\.pull\.columns\.a\.type: found 'numbr' \(did you mean 'number'\?\)"),
        (f"{FILES}, events: {{event: x, user_id: /u, tipe: track}}", r"crm\.pull\.events\.tipe: unknown key \(did you mean 'type'\?\)"),
        ("kind: filez, path: in", r"crm\.pull\.kind: found 'filez' \(did you mean 'files'\?\); allowed are files"),
        ("path: in", r"crm\.pull\.kind: found None; allowed are files"),
        (f"{FILES}", "one of `events` .* and `entity` .* is needed"),
        (f"{FILES}, entity: customers", "an entity needs a `key`"),
        (f"{FILES}, entity: Customers, key: [id]", "entity name 'Customers' is not allowed"),
        (f"{FILES}, events: {{event: x, user_id: /u}}, snapshot: true", "are of entities"),
        (f"{FILES}, events: {{event: x, user_id: /u, each: /a}}", "a row is one event"),
        (f"{FILES}, entity: customers, key: [id], attributes: {{number: /id}}", "id: not among the `attributes`"),
        (f"{FILES}, entity: customers, key: [id], zone: Mars", "zone 'Mars' is unknown"),
        (f"{FILES}, entity: customers, key: [id], encoding: utf-99", "encoding 'utf-99' is unknown"),
        (f"{FILES}, entity: customers, key: [id], columns: {{a: {{type: text, format: x}}}}", "`format` is for dates and times"),
        (f"{FILES}, entity: customers, key: [id], changed_at: at, columns: {{at: text}}", "declare it as `time`"),
        ("kind: files, format: csv, entity: c, key: [id], path: 's3://name:geheim@bucket/x'", "the URL holds credentials"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_pull_is_told_in_its_place_and_without_secrets(tmp_path, pull, sentence):
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        load(tmp_path, f"crm: {{pull: {{{pull}}}}}")
    assert "geheim" not in str(caught.value)
