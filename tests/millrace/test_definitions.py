"""Definitions of a tenant: every problem at once, each with the nearest allowed key; a hash that changes with what matters."""

import re
from pathlib import Path

import pytest

from millrace.definitions import DEFAULT_DIRECTORY, Definitions, load_definitions
from millrace.errors import ConfigurationError

SOUND = "person:\n  key: node\n  traits:\n    orders: {event: Order Completed, op: count}\n"


def load(folder: Path, text: str) -> Definitions:
    (folder / "views.yml").write_text(text, encoding="utf-8")
    return load_definitions(folder)


def problems(folder: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text)
    return str(caught.value)


def test_the_default_definitions_are_sound_and_survive_their_own_json():
    found = load_definitions(DEFAULT_DIRECTORY)
    again = Definitions.from_json(found.to_json())
    assert (again, again.hash, again.states) == (found, found.hash, found.states)


def test_comments_order_and_descriptions_do_not_change_the_hash(tmp_path):
    plain = load(tmp_path, SOUND + "    spend: {op: sum, value: properties.x}\n")
    told = load(tmp_path, "# why\nperson:\n  traits:\n    spend: {value: properties.x, op: sum, description: money}\n    orders: {op: count, event: [Order Completed]}\n  key: node\n")
    assert plain.hash == told.hash
    assert plain.hash != load(tmp_path, SOUND).hash


def test_problems_of_traits_and_of_expressions_over_them_are_told_at_once(tmp_path):
    text = problems(tmp_path, SOUND + "    b: {op: cuont}\n    c: {expr: b / ordrs}\n    d: {expr: c + orders + b}\n")
    assert "(did you mean 'count'?)" in text
    assert "person: c.expr at 5: unknown name 'ordrs' (did you mean 'orders'?)" in text
    assert len(text.splitlines()) == 2


def test_a_missing_directory_says_what_belongs_there(tmp_path):
    with pytest.raises(ConfigurationError, match=r"views\.yml is missing; .*example"):
        load_definitions(tmp_path / "none")


def test_all_problems_are_told_at_once_with_the_nearest_key(tmp_path):
    text = problems(tmp_path, "person:\n  key: node\n  traits:\n    a: {evnt: x, op: count}\n    b: {op: cuont}\n    C: {op: count}\n    d: {op: sum}\n")
    assert "person.traits.a.evnt: unknown key (did you mean 'event'?)" in text
    assert "(did you mean 'count'?)" in text
    assert "op sum needs a value" in text
    assert "person: trait names ['C'] are not allowed" in text
    assert len(text.splitlines()) == 4


def test_an_expression_that_ends_too_early_is_one_problem_in_one_line(tmp_path):
    text = problems(tmp_path, SOUND + "    b: {op: cuont}\n    c: {expr: orders +}\n")
    assert [line.split(": ")[1] for line in text.splitlines()] == ["person.traits.b.op", "person"]
    assert "c.expr at 9: found the end; a name, a number" in text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "found NoneType; a mapping of views is needed"),
        ("[1]", "found list"),
        ("persn:\n  key: node\n  traits: {a: {op: count}}\n", "no view `person`"),
        ("person:\n  key: node\n  key: node\n", "key 'key' is given twice"),
        ("person: {key: node, traits: {}}", "traits: found {}; at least one is needed"),
        ("person: {key: node, traits: [a]}", "a mapping is needed"),
        ("person: {key: node, traits: {a: count}}", "found 'count'; a mapping is needed, such as"),
        ("person: {key: node, traits: {a: {op: count, window: 30}}}", "found 30; text is needed"),
        ("person: {key: node, traits: {a: {op: count, event: []}}}", "drop it to take every event"),
        ("person: {key: node, traits: {hints: {op: count}}}", "columns that every profile has"),
        ("person:\n\tkey: node", "at line 2, column 1"),
        ("person: {key: account, traits: {a: {op: count}}}", "allowed are node"),
        ("person: {traits: {a: {op: count}}}", "person.key: missing"),
        ("person: {key: node, traits: {Big: {op: count}}}", "trait names .'Big'. are not allowed"),
        (SOUND + "Other View:\n  key: node\n  traits: {a: {op: count}}\n", "view name 'Other View' is not allowed"),
        ("person: [", "not readable as YAML"),
        ("person: {key: node, time_zone: Europe/Berln, traits: {a: {op: count}}}", "person.time_zone: found time zone 'Europe/Berln' .did you mean 'Europe/Berlin'"),
        ("person: {key: node, time_zone: 3, traits: {a: {op: count}}}", "person.time_zone: found time zone 3"),
        (SOUND + "    b: {expr: orders / ordrs}\n", "person: b.expr at 10: unknown name 'ordrs' .did you mean 'orders'"),
        (SOUND + "    b: {expr: orders, op: count}\n", "person.traits.b: expr is computed from other traits and takes no op"),
        (SOUND + "    b: {expr: 3}\n", "person.traits.b.expr: found 3; text is needed"),
        (SOUND + "    b: {op: count, where: {properties.x: {gt: a}}}\n", "person.traits.b.where: where properties.x: found gt: 'a'; gt compares numbers"),
        (SOUND + "    b: {op: count, where: {prperties.x: 1}}\n", "where 'prperties.x' is not a path"),
        (SOUND + "    b: {op: top_k, value: properties.x, k: 0}\n", "person.traits.b.k: found 0; .*greater than or equal to 1"),
        (SOUND + "    b: {op: medin, value: properties.x}\n", "did you mean 'median'"),
        ("? [a]\n: 1\n", "a key must be text"),
        ("!!python/object/apply:os.system ['true']", "not readable as YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence(tmp_path, text, sentence):
    assert re.search(sentence, problems(tmp_path, text))


def with_rules(folder: Path, text: str) -> Definitions:
    (folder / "identity.yml").write_text(text, encoding="utf-8")
    return load(folder, SOUND)


ALL = "namespaces:\n  user_id: {unique: true}\n  email: {}\n  phone: {}\n  anonymous_id: {}\n"


def test_without_rules_of_identity_those_of_the_default_tenant_hold(tmp_path):
    plain = load(tmp_path, SOUND)
    assert plain.identity == load_definitions(DEFAULT_DIRECTORY).identity
    assert plain.identity.namespaces["user_id"].unique


def test_a_rule_of_identity_changes_the_hash_and_survives_json(tmp_path):
    plain, ruled = load(tmp_path, SOUND), with_rules(tmp_path, ALL)
    assert Definitions.from_json(ruled.to_json()) == ruled
    assert len({plain.hash, ruled.hash, with_rules(tmp_path, ALL.replace("email: {}", "email: {limit: 3}")).hash}) == 3
    blocked = [with_rules(tmp_path, ALL.replace("phone: {}", f"phone: {{blocked: {values}}}")).hash for values in ("['1', '2']", "['2', '1', '2']")]
    assert blocked[0] == blocked[1]


def test_all_problems_of_both_files_are_told_at_once(tmp_path):
    (tmp_path / "identity.yml").write_text("namespaces:\n  user_id: {uniqe: true}\n  email: {limit: 0, blocked: [null]}\n", encoding="utf-8")
    text = problems(tmp_path, SOUND + "    b: {op: cuont}\n")
    for sentence in (
        "namespaces.user_id.uniqe: unknown key (did you mean 'unique'?)", "namespaces.email.limit: found 0", "a word such as null needs quotes", "(did you mean 'count'?)",
    ):  # fmt: skip
        assert sentence in text


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "found list; a mapping is needed"),
        (ALL.replace("email", "e_mail"), "unknown namespace 'e_mail' .did you mean 'email'.*rules for email are missing"),
        ("namespaces: {user_id: {}}", "rules for email, phone, anonymous_id are missing"),
        ("namespaces: {email: {}, user_id: {}, phone: {}, anonymous_id: {}}", "the order email, user_id, .* write user_id, email"),
        (ALL.replace("phone: {}", "phone: {blocked: [none]}"), "blocked phone 'none' is absent after normalising"),
        (ALL.replace("phone: {}", "phone: {blocked: ['']}"), "is empty; drop it"),
        (ALL.replace("unique: true", "unique: true, limit: 2"), "unique means limit 1"),
        (ALL.replace("email: {}", "email: {shared_from: 1}"), "namespaces.email.shared_from: found 1; .* greater than or equal to 2"),
        ("namespace: {}", "namespace: unknown key .did you mean 'namespaces'"),
    ],
)
def test_wrong_rules_of_identity_are_refused_with_a_sentence(tmp_path, text, sentence):
    (tmp_path / "identity.yml").write_text(text, encoding="utf-8")
    assert re.search(sentence, problems(tmp_path, SOUND))
