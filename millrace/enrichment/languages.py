"""Checks of regions and languages that a tenant names, with libraries that are loaded only when one is named."""


def check_region(text: str) -> str:
    """The region; ValueError when no phone number belongs to it."""
    from phonenumbers import SUPPORTED_REGIONS

    if text not in SUPPORTED_REGIONS:
        raise ValueError(f"{text!r} is no region; write the two capital letters of ISO 3166, such as DE")
    return text


def check_language(text: str) -> str:
    """The language; ValueError when no names of countries are known in it."""
    from babel import Locale, UnknownLocaleError

    try:
        Locale.parse(text)
    except (UnknownLocaleError, ValueError):
        raise ValueError(f"{text!r} is no language of CLDR; write its code, such as en or pt_BR") from None
    return text
