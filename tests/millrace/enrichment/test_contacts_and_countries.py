"""Phone numbers, e-mail addresses, countries and currencies in the spellings people use."""

import pytest

from tests.millrace.enrichment.enriched import family, rules


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        pytest.param("+49 30 901820", None, ("+4930901820", "DE"), id="international"),
        pytest.param("030 901820", "DE", ("+4930901820", "DE"), id="national with a region"),
        pytest.param("030 901820", None, None, id="national without a region"),
        pytest.param("0049-30/901820", "DE", ("+4930901820", "DE"), id="00 where that means +"),
        pytest.param("0049-30/901820", None, None, id="00 where nobody knows what it means"),
        pytest.param("+1 650-253-0000", "DE", ("+16502530000", "US"), id="international beats the region"),
        pytest.param("(650) 253-0000 ext. 12", "US", ("+16502530000", "US"), id="an extension is no part"),
        pytest.param("1-800-FLOWERS", "US", ("+18003569377", "US"), id="letters"),
        pytest.param("٠٣٠ ٩٠١٨٢٠", "DE", ("+4930901820", "DE"), id="other digits"),
        pytest.param("tel:+49-30-901820", None, ("+4930901820", "DE"), id="as a link"),
        pytest.param("12", "DE", None, id="too short"),
        pytest.param("+999 123 456", "DE", None, id="a country that is none"),
        pytest.param("call me", "DE", None, id="no number"),
        pytest.param("0" * 1_000, "DE", None, id="very long"),
    ],
)  # fmt: skip
def test_phone(text, region, expected):
    under = rules(phone={"default_region": region}) if region else rules()
    assert family("phone", {"traits": {"phone": text}}, under) == (dict(zip(("phone", "phone_country"), expected, strict=True)) if expected else {})


def test_the_first_place_with_a_phone_counts_even_when_it_is_no_number():
    assert family("phone", {"context": {"traits": {"phone": "+4930901820"}}})["phone"] == "+4930901820"
    assert family("phone", {"traits": {"phone": 4930901820}}, rules(phone={"default_region": "DE"}))["phone"] == "+4930901820"
    assert family("phone", {"traits": {"phone": "none"}, "properties": {"phone": "+4930901820"}}) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("Ann.Lee@Example.COM ", ("Ann.Lee@example.com", "example.com"), id="the domain in lower case, the rest as it is"),
        pytest.param("ann@Straße.example.de", ("ann@xn--strae-oqa.example.de", "xn--strae-oqa.example.de"), id="a domain in Unicode"),
        pytest.param("änn@firma.de", ("änn@firma.de", "firma.de"), id="a local part in Unicode"),
        pytest.param("A.nn+shop@googlemail.com", ("A.nn+shop@googlemail.com", "googlemail.com"), id="no rules of providers"),
        pytest.param("ann@firma", None, id="no dot"), pytest.param("ann@@firma.de", None, id="two signs"), pytest.param("Ann <ann@firma.de>", None, id="a name"),
        pytest.param("ann@foo.invalid", None, id="a reserved name"), pytest.param("ann", None, id="no sign"), pytest.param("a" * 65 + "@firma.de", None, id="too long before the sign"),
        pytest.param("a" * 10_000 + "@firma.de", None, id="very long"),
    ],
)  # fmt: skip
def test_email(text, expected):
    wanted = {"email": expected[0], "email_domain": expected[1], "email_is_valid": "true"} if expected else {"email_is_valid": "false"}
    assert family("email", {"traits": {"email": text}}) == wanted


def test_rules_of_providers_are_the_tenants_wish():
    under = rules(email={"provider_rules": True})
    assert family("email", {"traits": {"email": "A.nn+shop@googlemail.com"}}, under)["email"] == "ann@gmail.com"
    assert family("email", {"traits": {"email": "A.nn+shop@firma.de"}}, under)["email"] == "A.nn+shop@firma.de"


def test_no_email_is_neither_valid_nor_invalid():
    assert family("email", {"traits": {"email": " "}}) == {}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("de", "DE", id="alpha-2 in lower case"), pytest.param("DEU", "DE", id="alpha-3"), pytest.param("276", "DE", id="numeric"), pytest.param("UK", "GB", id="UK"),
        pytest.param(" united  states ", "US", id="a name with more spaces"), pytest.param("U.S.A.", "US", id="letters with dots"), pytest.param("Côte d'Ivoire", "CI", id="a plain apostrophe"),
        pytest.param("Turkey", "TR", id="a name CLDR has no more"), pytest.param("Deutschland", None, id="a language that is not asked for"),
        pytest.param("SUN", None, id="divided into several"), pytest.param("EU", None, id="no country"), pytest.param("Atlantis", None, id="none"), pytest.param("", None, id="empty"),
    ],
)  # fmt: skip
def test_country(text, code):
    assert family("country", {"traits": {"address": {"country": text}}}).get("country") == code


def test_names_of_countries_in_the_languages_of_the_tenant():
    under = rules(country={"languages": ["de", "fr"]})
    assert [family("country", {"properties": {"country": text}}, under).get("country") for text in ("Deutschland", "Allemagne", "Germany")] == ["DE", "DE", None]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("usd", "USD", id="lower case"), pytest.param("US Dollar", "USD", id="a name"), pytest.param("€", "EUR", id="a sign of one currency"),
        pytest.param("$", None, id="a sign of many"), pytest.param("DEM", "DEM", id="an old one"), pytest.param("XXX", None, id="the code for none"), pytest.param("ABC", None, id="unknown"),
    ],
)  # fmt: skip
def test_currency(text, code):
    assert family("currency", {"properties": {"currency": text}}).get("currency") == code
