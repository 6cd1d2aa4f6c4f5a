"""Browsers, systems, devices and bots, by what user agents say of themselves."""

import pytest

from tests.millrace.enrichment.enriched import family

IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1"
CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36"
EDGE = f"{CHROME} Edg/124.0.0.0"
SAMSUNG = "Mozilla/5.0 (Linux; Android 13; SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0.0.0 Mobile Safari/537.36"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
GPTBOT = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; GPTBot/1.1; +https://openai.com/gptbot"


@pytest.mark.parametrize(
    ("text", "browser", "system", "device"),
    [
        pytest.param(IPHONE, ("Mobile Safari", "17"), ("iOS", "17"), "iPhone", id="iphone"),
        pytest.param(CHROME, ("Chrome", "124"), ("Windows", "10"), None, id="chrome on windows"),
        pytest.param(EDGE, ("Edge", "124"), ("Windows", "10"), None, id="edge, which says chrome too"),
        pytest.param(SAMSUNG, ("Samsung Internet", "23"), ("Android", "13"), "Samsung SM-S911B", id="samsung"),
    ],
)
def test_people(text, browser, system, device):
    found = family("agent", {"context": {"userAgent": text}})
    assert (found.get("agent.browser"), found.get("agent.browser_version")) == browser
    assert (found.get("agent.os"), found.get("agent.os_version")) == system
    assert found.get("agent.device") == device
    assert (found["agent.is_bot"], found.get("agent.bot")) == ("false", None)


@pytest.mark.parametrize(
    ("text", "bot"),
    [
        pytest.param(GOOGLEBOT, "Googlebot", id="googlebot"), pytest.param(GPTBOT, "GPTBot", id="a bot that calls itself a browser"),
        pytest.param("curl/8.4.0", "curl", id="curl"), pytest.param("python-requests/2.31.0", "python-requests", id="a library"),
        pytest.param(CHROME.replace("Chrome", "HeadlessChrome"), "Headless", id="a browser without a screen"),
    ],
)  # fmt: skip
def test_bots(text, bot):
    found = family("agent", {"context": {"userAgent": text}})
    assert (found["agent.is_bot"], found["agent.bot"].split("/")[0]) == ("true", bot)


@pytest.mark.parametrize(
    "text",
    [pytest.param("-", id="a dash"), pytest.param("Analytics-Swift/1.5", id="a client of an app"), pytest.param("ÄÖÜ \u0000 💥", id="odd characters"), pytest.param("(" * 100_000, id="very long")],
)
def test_odd_ones_are_nobody_known_and_no_bot(text):
    assert family("agent", {"context": {"userAgent": text}}).get("agent.is_bot") == "false"


@pytest.mark.parametrize("text", [None, "", "  "])
def test_none_is_unknown_and_not_a_person(text):
    assert family("agent", {"context": {"userAgent": text}}) == {}
