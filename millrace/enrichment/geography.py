"""Where an address of the internet is, by a database file the tenant supplies in the MaxMind format; only of messages that carry an address (``context.ip``)."""

import io
import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

import maxminddb

from millrace.enrichment.rules import GeographyRules
from millrace.errors import ConfigurationError

READS = ("context.ip",)
_PATHS = ("enriched.geography.country", "enriched.geography.region", "enriched.geography.city")


def geography_by(rules: GeographyRules) -> Callable[..., Mapping[str, str | None]]:
    """Country (ISO 3166 alpha-2), region (the part behind the country of ISO 3166-2) and city. The database is read into memory as the content that was verified."""
    try:
        database = maxminddb.open_database(io.BytesIO(rules.file.content()), maxminddb.MODE_FD)  # type: ignore[arg-type]
    except (maxminddb.InvalidDatabaseError, ValueError) as error:
        raise ConfigurationError(f"{rules.file.path} is no database of addresses in the MaxMind format ({error}); name an .mmdb file in enrichment.yml") from None

    def geography(text: str | None) -> Mapping[str, str | None]:
        try:
            found = database.get(ipaddress.ip_address((text or "").strip()))
        except ValueError:  # no address, or one of the sixth version that the database does not have
            found = None
        if not isinstance(found, dict):
            return dict.fromkeys(_PATHS)
        regions = found.get("subdivisions") or [{}]
        return dict(zip(_PATHS, (_country(found), _text(_within(regions[0], "iso_code")), _city(found.get("city"), rules.language)), strict=True))

    return geography


def _country(found: Mapping[str, Any]) -> str | None:
    """Of nested records (GeoLite2, DB-IP) and flat ones (IPinfo)."""
    return _text(found.get("country_code")) or _text(_within(found.get("country"), "iso_code")) or _text(found.get("country"))


def _city(found: Any, language: str) -> str | None:
    return _text(_within(_within(found, "names"), language)) or _text(found)


def _within(found: Any, key: str) -> Any:
    return found.get(key) if isinstance(found, dict) else None


def _text(found: Any) -> str | None:
    return found if isinstance(found, str) and found else None
