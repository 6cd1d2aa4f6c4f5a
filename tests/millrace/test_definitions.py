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


def test_a_missing_directory_says_what_belongs_there(tmp_path):
    with pytest.raises(ConfigurationError, match=r"views\.yml is missing; .*example"):
        load_definitions(tmp_path / "none")


def test_all_problems_are_told_at_once_with_the_nearest_key(tmp_path):
    text = problems(tmp_path, "person:\n  key: node\n  traits:\n    a: {evnt: x, op: count}\n    b: {op: cuont}\n    C: {op: count}\n    d: {op: sum}\n")
    assert "person.traits.a.evnt: unknown key (did you mean 'event'?)" in text
    assert "(did you mean 'count'?)" in text
    assert "op sum needs a value" in text
    assert len(text.splitlines()) >= 3


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
        ("? [a]\n: 1\n", "a key must be text"),
        ("!!python/object/apply:os.system ['true']", "not readable as YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence(tmp_path, text, sentence):
    assert re.search(sentence, problems(tmp_path, text))
