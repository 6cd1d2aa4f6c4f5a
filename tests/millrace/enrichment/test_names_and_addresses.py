"""Names and postal addresses in the spellings people use."""

import pytest

from millrace.enrichment.rules import Enrichment
from tests.millrace.enrichment.enriched import family, rules


@pytest.mark.parametrize(
    ("traits", "expected"),
    [
        pytest.param({"firstName": "ANN", "lastName": "VON TRAPP"}, ("Ann", "von Trapp", "Ann von Trapp"), id="capitals"),
        pytest.param({"first_name": "mary-ann", "last_name": "o'brien"}, ("Mary-Ann", "O'Brien", "Mary-Ann O'Brien"), id="small letters, other spellings of the fields"),
        pytest.param({"firstName": "Ian", "lastName": "McDonald"}, ("Ian", "McDonald", "Ian McDonald"), id="with care already"),
        pytest.param({"firstName": "ian", "lastName": "MCDONALD III"}, ("Ian", "McDonald III", "Ian McDonald III"), id="a numeral"),
        pytest.param({"lastName": "DE LA CRUZ", "name": "José de la Cruz"}, (None, "de la Cruz", "José de la Cruz"), id="the full name as given"),
        pytest.param({"name": "Prof. Dr. Eva van den Berg"}, (None, None, "Eva van den Berg"), id="titles are left out"),
        pytest.param({"name": "Dr."}, (None, None, "Dr."), id="a title alone stays"),
        pytest.param({"name": "  Jean\t\u200bLuc "}, (None, None, "Jean Luc"), id="spaces and what nobody sees"),
        pytest.param({"firstName": "I\u0307SMAI\u0307L", "lastName": "STRASSE"}, ("Ismail", "Strasse", "Ismail Strasse"), id="a dot that small letters have anyway"),
        pytest.param({"name": "王小明"}, (None, None, "王小明"), id="no case"), pytest.param({"name": "Zoe\u0308"}, (None, None, "Zoë"), id="composed"),
        pytest.param({"firstName": "ann@example.org", "name": "x"}, (None, None, "X"), id="an address is no name"),
        pytest.param({"name": "R2D2"}, (None, None, None), id="digits"), pytest.param({"name": "—"}, (None, None, None), id="no letter"),
        pytest.param({"name": "a" * 1_000}, (None, None, None), id="very long"), pytest.param({"firstName": {"x": 1}}, (None, None, None), id="an object"),
    ],
)  # fmt: skip
def test_name(traits, expected):
    wanted = {f"name.{part}": value for part, value in zip(("first", "last", "full"), expected, strict=True) if value}
    assert family("name", {"traits": traits}) == wanted
    assert family("name", {"context": {"traits": traits}}) == wanted


@pytest.mark.parametrize(
    ("country", "postal_code", "expected"),
    [
        ("United Kingdom", "sw1a1aa", "SW1A 1AA"), ("GB", "SW1A  1AA", "SW1A 1AA"), ("CAN", "k1a-0b1", "K1A 0B1"), ("NL", "1234ab", "1234 AB"), ("SE", "12345", "123 45"),
        ("US", "12345", "12345"), ("USA", "123456789", "12345-6789"), ("US", "12345 6789", "12345-6789"), ("PL", "00950", "00-950"), ("JP", "1000001", "100-0001"),
        ("BR", "01310-100", "01310-100"), ("DE", "10115", "10115"), ("DE", "0123", None), ("DE", "D-10115", None), ("US", "K1A 0B1", None), ("GB", "12345", None),
    ],
)  # fmt: skip
def test_postal_code(country, postal_code, expected):
    found = family("address", {"traits": {"address": {"country": country, "postalCode": postal_code}}})
    assert found.get("address.postal_code") == expected


@pytest.mark.parametrize(
    ("country", "state", "expected"),
    [
        ("US", "california", "US-CA"), ("US", "CA", "US-CA"), ("US", "us-ca", "US-CA"), ("CA", "Ontario", "CA-ON"), ("JP", "東京都", "JP-13"), ("JP", "Tokyo", "JP-13"), ("US", "Bavaria", None),
        ("DE", "Bayern", "Bayern"), (None, " Bayern  Süd ", "Bayern Süd"),
    ],
)  # fmt: skip
def test_region(country, state, expected):
    found = family("address", {"traits": {"address": {"country": country, "state": state}}})
    assert found.get("address.region") == expected


def test_fields_are_found_in_every_place_and_the_first_place_counts():
    address = {"street": " 1  Main\u00a0St ", "city": "Springfield", "zip": "abc-12"}
    assert family("address", {"properties": {"shipping_address": address}}) == {"address.street": "1 Main St", "address.city": "Springfield", "address.postal_code": "ABC-12"}
    both = {"traits": {"address": {"city": "Rom"}, "city": "Paris"}, "properties": {"billing_address": {"city": "Oslo", "country": "NO", "postal_code": "0150"}}}
    assert family("address", both) == {"address.city": "Rom", "address.country": "NO", "address.postal_code": "0150"}


def test_names_of_countries_are_understood_in_the_languages_of_the_tenant_and_these_are_part_of_the_rules():
    message = {"traits": {"address": {"country": "Deutschland", "postalCode": "10115"}}}
    german = rules(country={"languages": ["de"]})
    assert family("address", message, german) == {"address.country": "DE", "address.postal_code": "10115"}
    assert "address.country" not in family("address", message)
    assert german.digest("address") != Enrichment().digest("address") and german.digest("name") == Enrichment().digest("name")


def test_a_country_nobody_has_a_format_for_keeps_its_texts():
    found = family("address", {"traits": {"address": {"country": "IC", "postalCode": "x 1", "state": "Tenerife"}}})
    assert found == {"address.country": "IC", "address.postal_code": "X 1", "address.region": "Tenerife"}
