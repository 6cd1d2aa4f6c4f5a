"""Which sources a trait counts and over which window, what is refused and with which sentence."""

import re
from datetime import UTC, datetime

import pytest
import yaml

from millrace.definitions import Definitions, load_definitions
from millrace.errors import ConfigurationError
from millrace.times import micros
from millrace.traits.sql import trait_sql
from millrace.traits.traits import DAY, HOUR, Trait
from millrace.traits.windows import LOCAL_DAY, Window

SOURCES = {"shop": {"party": "second"}, "dmp": {"party": "third", "retention": "30d"}, "panel": {"party": "third", "retention": "90d"}, "app": {"retention": "400d"}}
AT = micros(datetime(2026, 3, 10, 14, 20, tzinfo=UTC))


def compiled(trait: dict, sources: dict | None = None, zone: str = "UTC") -> Trait:
    view = {"key": "node", "time_zone": zone, "traits": {"one": {"op": "count"} | trait}}
    return Definitions.model_validate({"views": {"person": view}, "sources": SOURCES if sources is None else sources}).views["person"].traits["one"]


def load(folder, trait: dict) -> Definitions:
    (folder / "views.yml").write_text(yaml.safe_dump({"person": {"key": "node", "traits": {"one": {"op": "count"} | trait}}}), encoding="utf-8")
    (folder / "sources.yml").write_text(yaml.safe_dump(SOURCES), encoding="utf-8")
    return load_definitions(folder)


@pytest.mark.parametrize(("trait", "operator", "names"), [
    ({}, "not_in", ["app", "dmp", "panel"]), ({"party": "first"}, "not_in", ["app", "dmp", "panel", "shop"]), ({"party": "second"}, "in", ["shop"]),
    ({"sources": ["dmp"]}, "in", ["dmp"]), ({"sources": "app"}, "in", ["app"]), ({"party": "third", "window": "7d"}, "in", ["dmp", "panel"]), ({"sources": ["http", "shop"]}, "in", ["http", "shop"]),
])  # fmt: skip
def test_a_trait_counts_what_it_names_or_all_without_a_term(trait, operator, names):
    (condition,) = compiled(trait).conditions
    assert (condition.path, condition.operator, condition.value) == ("source", operator, names)


def test_without_terms_states_have_the_names_they_always_had():
    assert [state.name for state in compiled({}, {"shop": {"party": "second"}}).states] == ["count"]
    assert compiled({}, {"shop": {"party": "second"}}).span == Window()


@pytest.mark.parametrize(("trait", "name", "hop"), [
    ({}, "720h", HOUR), ({"window": "45d"}, "720h", HOUR), ({"window": "30d"}, "720h", HOUR), ({"window": "29d"}, "29d", DAY), ({"window": "5h"}, "5h", HOUR), ({"window": "this_year"}, "this_year", DAY),
    ({"window": "20d", "ago": "20d"}, "20d", DAY),
])  # fmt: skip
def test_a_window_is_no_longer_than_the_term(trait, name, hop):
    window = compiled(trait | {"sources": ["dmp"]}).span
    assert (window.name, window.hop, window.term) == (name, hop, 30 * DAY)


def test_a_term_ends_with_the_hour_before_and_never_later():
    window = compiled({"sources": ["dmp"]}).span
    first, until = window.tiles(AT)
    assert (first * HOUR, until * HOUR) == (AT // 1_000_000 - 30 * DAY - 20 * 60 + HOUR, AT // 1_000_000 + 40 * 60)
    on_the_hour = AT - 20 * 60 * 1_000_000
    assert window.tiles(on_the_hour)[0] == window.tiles(on_the_hour - 1)[0] + 1, "at the instant itself the term of the tile is over"
    assert window.dies(first) > AT >= window.dies(first - 1)


def test_what_is_asked_later_holds_less_and_a_window_that_is_over_is_empty():
    window = compiled({"sources": ["dmp"]}).span
    assert window.tiles(AT, AT + 3 * HOUR * 1_000_000)[0] == window.tiles(AT)[0] + 3
    first, until = window.tiles(AT, AT + 99 * DAY * 1_000_000)
    assert first == until


def test_local_days_of_a_term_are_whole_days_of_the_zone():
    window = compiled({"sources": ["dmp"], "window": "this_year"}, zone="America/St_Johns").span
    assert window.hop == LOCAL_DAY
    first, _ = window.tiles(AT)
    assert window.dies(first) > AT >= window.dies(first - 1)


@pytest.mark.parametrize(("trait", "sentence"), [
    ({"sources": ["dmp", "panel"]}, "its sources have several terms (dmp 30d, panel 90d), which no one window keeps"),
    ({"party": "third", "window": "30d"}, "which no one window keeps"), ({"party": "third", "window": "this_month"}, "a window that ends a day before 30d"),
    ({"sources": ["dmp", "http"]}, "(dmp 30d, http none)"), ({"sources": ["dpm"]}, "sources names 'dpm', which sources.yml does not declare (did you mean 'dmp'?)"),
    ({"party": "third", "sources": ["dmp"]}, "party and sources both say whose events count"), ({"where": {"source": "dmp"}}, "where names dmp, of which nothing counts here: it has a term (30d)"),
    ({"op": "last", "value": "traits.city", "prefer": ["shop", "dmp"]}, "prefer names dmp"), ({"sources": ["dmp"], "window": "5d", "ago": "30d"}, "ago '30d' looks back beyond the term of 30d"),
])  # fmt: skip
def test_what_no_window_keeps_is_refused_with_what_to_write(tmp_path, trait, sentence):
    with pytest.raises(ConfigurationError, match=re.escape(sentence)) as caught:
        load(tmp_path, trait)
    assert "person.traits.one: " in str(caught.value)


@pytest.mark.parametrize("trait", [{"party": "third", "window": "29d"}, {"sources": ["dmp"]}, {"op": "last", "value": "traits.city", "prefer": ["dmp"], "sources": ["dmp"]}, {"sources": ["http"]}])
def test_what_one_window_keeps_is_allowed(tmp_path, trait):
    assert load(tmp_path, trait).views["person"].traits["one"]


def test_the_sql_of_a_trait_says_whose_events_count():
    assert trait_sql(compiled({}), AT) == "SELECT count(*) FROM events WHERE source NOT IN ('app', 'dmp', 'panel')"
    shown = trait_sql(compiled({"sources": ["dmp"]}), AT)
    assert shown == "SELECT count(*) FROM events WHERE source IN ('dmp') AND event_time >= TIMESTAMP '2026-02-08 15:00:00' AND event_time < TIMESTAMP '2026-03-10 15:00:00'"
