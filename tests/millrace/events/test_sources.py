"""Declarations about sources: what they default to, what is refused and with which sentence, and that no state depends on them."""

import pytest

from millrace.definitions import Definitions, load_definitions
from millrace.errors import ConfigurationError

VIEWS = "person: {key: node, traits: {orders: {event: Order Completed, op: count}}}\n"


def load(folder, text) -> Definitions:
    (folder / "views.yml").write_text(VIEWS, encoding="utf-8")
    (folder / "sources.yml").write_text(text, encoding="utf-8")
    return load_definitions(folder)


def test_a_source_has_what_the_file_says_and_the_rest_by_default(tmp_path):
    found = load(tmp_path, "shop: {mode: quarantine, party: second, purpose: analytics, retention: 400d, breaker: {count: 20, window: 10m, action: pause}}\nblog: {}\n")
    shop = found.source("shop")
    assert (shop.mode, shop.party, shop.purpose, shop.retention) == ("quarantine", "second", ("analytics",), 400 * 86_400)
    assert (shop.breaker.share, shop.breaker.count, shop.breaker.window, shop.breaker.action) == (0.5, 20, 600, "pause")
    assert found.source("blog") == found.source("never named")
    assert found.source("blog").mode == "flag"


def test_a_promise_of_freshness_is_a_length_of_time(tmp_path):
    found = load(tmp_path, "shop: {freshness: 15m}\n")
    assert (found.source("shop").freshness, found.source("blog").freshness) == (900, None)
    assert found.hash == load(tmp_path, "").hash
    with pytest.raises(ConfigurationError, match=r"shop\.freshness: a length of time is needed"):
        load(tmp_path, "shop: {freshness: often}\n")


def test_sources_survive_json_and_change_no_hash_of_states(tmp_path):
    found = load(tmp_path, "shop: {mode: block, party: second, purpose: [service, analytics]}\n")
    assert Definitions.from_json(found.to_json()) == found
    assert found.hash == load(tmp_path, "").hash


def test_a_term_is_part_of_the_hash_and_who_has_none_is_not(tmp_path):
    texts = ("", "shop: {retention: 90d}", "shop: {retention: 30d}", "shop: {retention: 90d, purpose: [service]}", "dmp: {party: third, retention: 90d}")
    none, ninety, thirty, with_purpose, of_another = (load(tmp_path, text).hash for text in texts)
    assert ninety == with_purpose
    assert len({none, ninety, thirty, of_another}) == 4
    found = load(tmp_path, "shop: {retention: 90d}")
    assert Definitions.from_json(found.to_json()).states == found.states


@pytest.mark.parametrize(("text", "sentence"), [
    ("dmp: {party: third}", "data of a third party needs a term"), ("dmp: {party: third, retention: 91d}", "retention 91d is not allowed: data of a third party may have a term of 1d to 90d"),
    ("shop: {retention: 36h}", "retention 36h is not allowed: data may have a term of 1d to 731d, in whole days"), ("shop: {retention: 1000d}", "of 1d to 731d"), ("shop: {purpose: [Big Plans]}", "shop.purpose: found 'Big Plans'; purposes are names such as"),
])  # fmt: skip
def test_terms_are_whole_days_and_short_for_a_third_party(tmp_path, text, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        load(tmp_path, text)


def test_everything_wrong_with_sources_is_told_at_once(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, "shop: {mod: block}\nblog: {mode: refuse}\nads: {party: third}\napp: {breaker: {cont: 3, share: 2}}\nlate: {retention: soon}\n")
    text = str(caught.value)
    assert "shop.mod: unknown key (did you mean 'mode'?); allowed are mode, party" in text
    assert "blog.mode: found 'refuse'; allowed are block, quarantine, flag" in text
    assert "ads: data of a third party needs a term" in text
    assert "app.breaker.cont: unknown key (did you mean 'count'?)" in text
    assert "app.breaker.share" in text
    assert "late.retention: a length of time is needed" in text


@pytest.mark.parametrize(("text", "sentence"), [("[1]", "a mapping of names to sources is needed"), ("Shop: {}", "source name 'Shop' is not allowed"), ("no: {}", "need quotes")])
def test_names_of_sources_are_words(tmp_path, text, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        load(tmp_path, text)
