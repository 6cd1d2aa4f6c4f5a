"""Countries and currencies as people write them, and their codes: names and older codes by CLDR (Babel), and the few short names it does not have."""

from collections.abc import Callable, Mapping
from functools import cache

from millrace.enrichment.texts import digest_of, first_filled

COUNTRY_READS = (
    "traits.country", "traits.address.country", "context.traits.country", "context.traits.address.country", "properties.country", "context.location.country",
)  # fmt: skip
CURRENCY_READS = ("properties.currency",)
LONGEST = 100
_MORE = {
    "usa": "US", "u.s.": "US", "u.s.a.": "US", "united states of america": "US", "great britain": "GB", "u.k.": "GB", "england": "GB", "scotland": "GB", "wales": "GB",
    "northern ireland": "GB", "czech republic": "CZ", "turkey": "TR", "ivory coast": "CI", "holland": "NL", "the netherlands": "NL", "russian federation": "RU",
    "republic of korea": "KR", "korea": "KR", "viet nam": "VN", "burma": "MM", "macedonia": "MK", "swaziland": "SZ", "cape verde": "CV", "hong kong": "HK", "macau": "MO",
    "macao": "MO", "uae": "AE", "republic of ireland": "IE", "people's republic of china": "CN", "palestine": "PS", "east timor": "TL", "congo-kinshasa": "CD",
}  # fmt: skip
"""English names in use that CLDR's are not."""
_NO_COUNTRY = ("EU", "EZ", "UN", "QO", "XA", "XB", "ZZ")
"""Codes of CLDR that are no country."""
_NO_CURRENCY = ("XXX", "XTS")


def country_by(languages: tuple[str, ...]) -> Callable[..., Mapping[str, str | None]]:
    """ISO 3166 alpha-2 of the first value that is not empty: a code of two or three letters or digits, or a name in one of the languages. Null when it is none, or was
    divided into several."""
    code = country_code_by(languages)
    return lambda *values: {"enriched.country": code(*values)}


def country_code_by(languages: tuple[str, ...]) -> Callable[..., str | None]:
    """The code alone."""
    names = _country_names(languages)

    def code(*values: str | None) -> str | None:
        text = first_filled(values)
        return None if text is None or len(text) > LONGEST else _country_code(text) or names.get(_folded(text))

    return code


def currency(text: str | None) -> Mapping[str, str | None]:
    """ISO 4217 of a value: a code in any case, an English name, or ``€``. Signs such as ``$`` belong to several currencies and so to none."""
    return {"enriched.currency": currency_code(text)}


def currency_code(text: str | None) -> str | None:
    found = (text or "").strip()
    if not found or len(found) > LONGEST:
        return None
    return found.upper() if found.upper() in _currencies() else _currency_names().get(_folded(found))


def _country_code(text: str) -> str | None:
    from babel.core import get_global

    code = text.upper()
    if code in _codes():
        return code
    if not (code.isascii() and code.isalnum() and len(code) in (2, 3)):
        return None
    successors = [one for one in get_global("territory_aliases").get(code, ()) if one in _codes()]
    return successors[0] if len(successors) == 1 else None


@cache
def _codes() -> frozenset[str]:
    from babel import Locale

    return frozenset(code for code in Locale("en").territories if len(code) == 2 and code not in _NO_COUNTRY)


@cache
def _country_names(languages: tuple[str, ...]) -> Mapping[str, str]:
    from babel import Locale

    found: dict[str, str] = {}
    for language in languages:
        for code, name in sorted(Locale.parse(language).territories.items()):
            if code in _codes():
                found.setdefault(_folded(name), code)
    for name, code in _MORE.items() if "en" in languages else ():
        found.setdefault(name, code)
    return found


@cache
def _currencies() -> frozenset[str]:
    from babel.numbers import list_currencies

    return frozenset(list_currencies()) - {*_NO_CURRENCY}


@cache
def _currency_names() -> Mapping[str, str]:
    from babel import Locale

    return {"€": "EUR", **{_folded(name): code for code, name in Locale("en").currencies.items() if code in _currencies()}}


def _folded(text: str) -> str:
    return " ".join(text.casefold().replace("\u2019", "'").replace("&", "and").split())


def table_digest() -> str:
    """Changes with the names and codes of this module."""
    return digest_of([sorted(_MORE.items()), _NO_COUNTRY])
