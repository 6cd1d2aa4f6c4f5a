"""Where addresses of the internet are, by a database file the tenant supplies."""

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from millrace.errors import ConfigurationError
from tests.millrace.enrichment.enriched import family, rules

BERLIN = {"country": {"iso_code": "DE"}, "subdivisions": [{"iso_code": "BE"}], "city": {"names": {"en": "Berlin", "fr": "Berlin-Ville"}}}


@pytest.fixture
def folder(tmp_path):
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, languages=["en"])
    writer.insert_network(IPSet(["198.51.100.0/24"]), BERLIN)
    writer.insert_network(IPSet(["203.0.113.0/24"]), {"country_code": "FR", "country": "France"})
    writer.insert_network(IPSet(["2001:db8::/32"]), {"country": {"iso_code": "NL"}})
    writer.to_db_file(str(tmp_path / "places.mmdb"))
    return tmp_path


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param("198.51.100.7", {"geography.country": "DE", "geography.region": "BE", "geography.city": "Berlin"}, id="all three"),
        pytest.param("203.0.113.9", {"geography.country": "FR"}, id="flat records"),
        pytest.param(" 2001:db8::1 ", {"geography.country": "NL"}, id="the sixth version"),
        pytest.param("192.0.2.1", {}, id="not in the database"),
        pytest.param("198.51.100", {}, id="no address"),
        pytest.param(None, {}, id="none"),
    ],
)
def test_place(folder, address, expected):
    assert family("geography", {"context": {"ip": address}}, rules(folder, geography={"file": "places.mmdb"})) == expected


def test_names_of_cities_in_the_language_of_the_tenant(folder):
    under = rules(folder, geography={"file": "places.mmdb", "language": "fr"})
    assert family("geography", {"context": {"ip": "198.51.100.7"}}, under)["geography.city"] == "Berlin-Ville"


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "places.mmdb").write_bytes(b"no database")
    with pytest.raises(ConfigurationError, match="is no database of addresses in the MaxMind format"):
        family("geography", {}, rules(tmp_path, geography={"file": "places.mmdb"}))
