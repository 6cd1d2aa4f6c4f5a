"""Rules of enriched values in definitions: what is refused, and a hash that changes with the rules a trait stands on and with no others."""

import re
from pathlib import Path

import pytest

from millrace.definitions import DEFAULT_DIRECTORY, Definitions, load_definitions
from millrace.enrichment import rules as enrichment_rules
from millrace.enrichment.enricher import Enricher
from millrace.enrichment.paths import FAMILY_OF
from millrace.enrichment.rules import Enrichment
from millrace.errors import ConfigurationError
from millrace.events.standard import Standardizer
from millrace.features import narrowed
from millrace.newest_definitions import NewestDefinitions
from millrace.traits.sql import trait_sql
from tests.millrace.enrichment.enriched import read

VIEWS = "person:\n  key: node\n  traits:\n    seen: {op: count}\n"
PHONE = VIEWS + "    phone: {op: last, value: enriched.phone}\n"
SPEND = VIEWS + "    spend: {op: sum, value: enriched.revenue}\n"
PEOPLE = VIEWS + "    pages: {type: page, op: count, where: \"not enriched.agent.is_bot and enriched.referrer.class = 'search'\"}\n"
MONEY = "money: {currency: EUR, rates: rates.csv}\n"


def load(folder, views=VIEWS, enrichment=None, rates=None) -> Definitions:
    for name, text in (("views.yml", views), ("enrichment.yml", enrichment), ("rates.csv", rates)):
        if text is not None:
            (folder / name).write_text(text, encoding="utf-8")
    return load_definitions(folder)


@pytest.fixture
def other_library(monkeypatch):
    """After it, this installation has another database of phone numbers."""
    here = dict(enrichment_rules.versions_here())
    return lambda: monkeypatch.setattr(enrichment_rules, "versions_here", lambda: here | {"phone": here["phone"] + "9"})


@pytest.mark.parametrize(
    ("views", "enrichment", "problem"),
    [
        pytest.param(VIEWS + "    a: {op: last, value: enriched.fone}\n", "", "'enriched.fone' is no enriched value (did you mean 'enriched.phone'?); there are enriched.address.city", id="value"),
        pytest.param(VIEWS + "    a: {op: count, where: {enriched.agent.isbot: true}}\n", "", "(did you mean 'enriched.agent.is_bot'?)", id="condition"),
        pytest.param(VIEWS + "    a: {op: count, where: enriched.isbot}\n", "", "unknown name 'enriched.isbot'", id="name in an expression"),
        pytest.param(SPEND, "", "enrichment.yml: money is asked for and not declared; write for example", id="money without rates"),
        pytest.param(VIEWS + "    a: {op: last, value: enriched.geography.city}\n", "", "geography is asked for and not declared", id="geography without a file"),
        pytest.param(VIEWS, "fone: {}\n", "unknown key 'fone' (did you mean 'phone'?); allowed are phone, email", id="key"),
        pytest.param(VIEWS, "phone: {region: DE}\n", "phone.region: unknown key (did you mean 'default_region'?); allowed are default_region", id="key within"),
        pytest.param(VIEWS, "phone: {default_region: Germany}\n", "'Germany' is no region; write the two capital letters of ISO 3166", id="region"),
        pytest.param(VIEWS, "referrer: {internal: ['https://x.org/a']}\n", "is no host; write it without scheme and path", id="host"),
        pytest.param(VIEWS, "referrer: {classes: {x.org: sozial}}\n", "found 'sozial' (did you mean 'social'?)", id="class"),
        pytest.param(VIEWS, "country: {languages: [klingon]}\n", "'klingon' is no language of CLDR", id="language"),
        pytest.param(VIEWS, MONEY, "rates.csv cannot be read (No such file or directory); name one beside enrichment.yml", id="file"),
        pytest.param(VIEWS, "- a\n", "found list; a mapping is needed", id="no mapping"),
        pytest.param(VIEWS, "versions: {}\n", "versions: is no key of the file", id="versions"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_what_is_allowed(tmp_path, views, enrichment, problem):
    with pytest.raises(ConfigurationError, match=re.escape(problem)):
        load(tmp_path, views, enrichment)


def test_definitions_that_ask_for_nothing_enriched_are_what_they_were_before_there_were_enriched_values(tmp_path):
    assert load_definitions(DEFAULT_DIRECTORY).hash == "b694c91524dd8fb1"
    plain = load(tmp_path)
    told = load(tmp_path, VIEWS, "phone: {default_region: DE}\n" + MONEY, "date,currency,rate\n")
    assert (told.hash, told.states) == (plain.hash, plain.states)
    assert "enrichment" not in plain.to_json()


def test_the_hash_changes_with_the_rules_a_trait_stands_on_and_only_then(tmp_path):
    before = load(tmp_path, PHONE, "")
    assert load(tmp_path, PHONE, "email: {provider_rules: true}\nreferrer: {internal: [x.org]}\n").hash == before.hash
    assert load(tmp_path, PHONE, "# nothing\nphone: {}\n").hash == before.hash
    after = load(tmp_path, PHONE, "phone: {default_region: DE}\n")
    assert after.hash != before.hash
    old, new = ({state.name for state in found.states["person"]} for found in (before, after))
    assert old & new == {"count"}, "a state of another meaning has another name, and no other state has"


def test_a_file_is_part_of_the_rules_by_its_content_and_not_by_its_place(tmp_path):
    rates = "date,currency,rate\n2026-03-01,USD,0.9\n"
    before = load(tmp_path, SPEND, MONEY, rates)
    (tmp_path / "moved").mkdir()
    assert load(tmp_path / "moved", SPEND, MONEY, rates).hash == before.hash
    assert load(tmp_path, SPEND, MONEY, rates + "2026-03-02,USD,0.9\n").hash != before.hash


def test_another_version_of_a_library_is_another_definition_of_the_traits_that_stand_on_it(tmp_path, other_library):
    of_phones, of_people = load(tmp_path, PHONE), load(tmp_path, PEOPLE)
    written = of_phones.to_json()
    other_library()
    assert load(tmp_path, PEOPLE).hash == of_people.hash
    assert load(tmp_path, PHONE).hash != of_phones.hash
    assert Definitions.from_json(written).hash == of_phones.hash, "what was published keeps its hash"


def test_values_of_rules_of_another_library_are_not_computed_as_if_they_were_the_same(tmp_path):
    made = load(tmp_path, PHONE)
    older = Definitions.from_json(made.to_json().replace("phonenumbers=", "phonenumbers=0.")).enrichment
    with pytest.raises(ConfigurationError, match=r"phone: the definitions were made with 1 phonenumbers=0\.\S+ and here is 1 phonenumbers=\d"):
        read([{}], [("enriched.phone", "string")], older)


def test_definitions_survive_their_own_json(tmp_path):
    found = load(tmp_path, PEOPLE + "    spend: {op: sum, value: enriched.revenue, where: {enriched.country: DE}}\n", MONEY, "date,currency,rate\n")
    again = Definitions.from_json(found.to_json())
    assert (again, again.hash, again.states) == (found, found.hash, found.states)


def test_a_view_of_fewer_traits_keeps_the_names_of_its_states(tmp_path):
    view = load(tmp_path, PEOPLE, "referrer: {internal: [x.org]}\n").views["person"]
    assert set(narrowed(view, ["pages"]).states) <= set(view.states)


def test_a_changed_file_of_rates_is_noticed_like_a_changed_definition(tmp_path):
    load(tmp_path, SPEND, MONEY, "date,currency,rate\n")
    now = [0.0]
    newest = NewestDefinitions(tmp_path, clock=lambda: now[0])
    before = newest().hash
    (tmp_path / "rates.csv").write_text("date,currency,rate\n2026-03-01,USD,0.9\n", encoding="utf-8")
    now[0] = 10
    assert newest().hash != before
    (tmp_path / "rates.csv").write_text("nonsense", encoding="utf-8")
    last, now[0] = newest().hash, 20
    assert newest().hash == last
    assert "its first line must be date,currency,rate" in newest.problem


def test_the_sql_of_a_trait_says_what_no_message_holds(tmp_path):
    traits = load(tmp_path, PEOPLE).views["person"].traits
    assert re.search(r" -- not in messages, computed by Millrace under rules [0-9a-f]{10}: enriched\.agent\.is_bot, enriched\.referrer\.class$", trait_sql(traits["pages"], 0))
    assert "--" not in trait_sql(traits["seen"], 0)


def test_the_document_tells_every_path_and_no_other():
    text = (Path(__file__).resolve().parents[3] / "docs" / "enrichment.md").read_text(encoding="utf-8")
    told = [path for row in re.findall(r"^\| (`enriched\.[^|]*) \|", text, re.MULTILINE) for path in re.findall(r"`([^`]+)`", row)]
    assert sorted(told) == sorted(FAMILY_OF)


def test_nobody_asks_so_no_library_is_loaded_and_no_value_is_computed(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr("millrace.events.values.enricher_of", lambda specs, rules: made.append(specs) or Enricher(specs, Enrichment.model_validate_json(rules)))
    plain, asking = load(tmp_path), load(tmp_path, PHONE)
    Standardizer(plain.states["person"], b"secret", enrichment=plain.enrichment)
    assert made == []
    Standardizer(asking.states["person"], b"secret", enrichment=asking.enrichment)
    assert made == [(("enriched.phone", "string"),)]
