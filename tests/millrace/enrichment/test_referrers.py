"""Where a visit comes from, by the referrer of the page."""

import pytest

from tests.millrace.enrichment.enriched import family, page, rules

SHOP = "https://www.shop.example.org/tea"
OWN = {"internal": ["example.net", "bücher.example"], "classes": {"partner.example.com": "social", "news.google.com": "other", "blog.example.net": "other"}}


@pytest.mark.parametrize(
    ("referrer", "kind", "name"),
    [
        pytest.param("https://www.google.com/", "search", "Google", id="google"),
        pytest.param("https://www.google.co.uk/search?q=tea", "search", "Google", id="google of a country"),
        pytest.param("https://google.evil.example/", "other", None, id="google in somebody's name"),
        pytest.param("https://notgoogle.com/", "other", None, id="a name that ends like google"),
        pytest.param("https://accounts.google.com/", "other", None, id="google's sign-in is no search"),
        pytest.param("https://mail.google.com/mail/u/0/", "mail", "Gmail", id="gmail"),
        pytest.param("android-app://com.google.android.gm/", "mail", "Gmail", id="an app of Android"),
        pytest.param("android-app://com.google.android.googlequicksearchbox/", "search", "Google", id="the search app of Android"),
        pytest.param("https://de.search.yahoo.com/x", "search", "Yahoo", id="yahoo of a country"),
        pytest.param("https://duckduckgo.com", "search", "DuckDuckGo", id="no path"),
        pytest.param("HTTPS://L.Facebook.COM./l.php", "social", "Facebook", id="below a known host, capitals, a final dot"),
        pytest.param("https://t.co/abc", "social", "X", id="short links"),
        pytest.param("https://www.pinterest.de/pin/1", "social", "Pinterest", id="pinterest of a country"),
        pytest.param("https://shop.example.org/cart", "internal", None, id="the page's own host, without www"),
        pytest.param("https://pay.shop.example.org/", "other", None, id="another host below is not the page's own"),
        pytest.param("https://checkout.example.net/", "internal", None, id="a host of the tenant's"),
        pytest.param("https://blog.example.net/", "other", None, id="of two rules of the tenant the nearer"),
        pytest.param("https://www.xn--bcher-kva.example/", "internal", None, id="a host in Unicode, as ASCII"),
        pytest.param("https://www.bücher.example/", "internal", None, id="a host in Unicode, as written"),
        pytest.param("https://partner.example.com/", "social", None, id="a class of the tenant's"),
        pytest.param("https://news.google.com/", "other", "Google", id="the tenant's class before ours"),
        pytest.param("not an address", "other", None, id="no address"),
        pytest.param("http://[::1", "other", None, id="half an address"),
        pytest.param("  ", "direct", None, id="blank"),
        pytest.param(None, "direct", None, id="none on a page"),
    ],
)
def test_class_and_name(referrer, kind, name):
    found = family("referrer", page(SHOP, referrer), rules(referrer=OWN))
    assert (found.get("referrer.class"), found.get("referrer.name")) == (kind, name)


def test_what_is_no_page_has_no_class_unless_it_has_a_referrer():
    assert family("referrer", {"type": "track"}) == {}
    assert family("referrer", page(None, "https://Bing.com/a")) == {"referrer.class": "search", "referrer.name": "Bing", "referrer.domain": "bing.com"}


def test_the_domain_is_ascii_and_a_page_call_has_it_too():
    found = family("referrer", {"properties": {"url": SHOP, "referrer": "https://Straße.example/x"}})
    assert found == {"referrer.class": "other", "referrer.domain": "xn--strae-oqa.example"}
