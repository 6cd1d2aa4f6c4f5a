"""Phone numbers as E.164 and e-mail addresses as their syntax says. Nothing is asked of a network."""

from collections.abc import Callable, Mapping

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from millrace.enrichment.rules import EmailRules, PhoneRules
from millrace.enrichment.texts import first_filled

PHONE_READS = ("traits.phone", "context.traits.phone", "properties.phone")
EMAIL_READS = ("traits.email", "context.traits.email", "properties.email")
LONGEST = 254
"""Characters of a value that can be one."""
_GMAIL = ("gmail.com", "googlemail.com")


def phone_by(rules: PhoneRules) -> Callable[..., Mapping[str, str | None]]:
    """The first value that is not empty as E.164, and the country it belongs to; null when it is no number that can exist, or a national one without a region."""

    def phone(*values: str | None) -> Mapping[str, str | None]:
        text = first_filled(values)
        found = None if text is None else _number(text, rules.default_region)
        shown = None if found is None else phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164)
        country = None if found is None else phonenumbers.region_code_for_number(found)
        return {"enriched.phone": shown, "enriched.phone_country": country if country != "001" else None}

    return phone


def _number(text: str, region: str | None) -> phonenumbers.PhoneNumber | None:
    if len(text) > LONGEST:
        return None
    try:
        found = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    return found if phonenumbers.is_valid_number(found) else None


def email_by(rules: EmailRules) -> Callable[..., Mapping[str, str | None]]:
    """The first value that is not empty, its domain in lower case and ASCII, and whether its syntax is valid."""

    def email(*values: str | None) -> Mapping[str, str | None]:
        text = first_filled(values)
        address = domain = None
        if text is not None and len(text) <= LONGEST:
            try:
                found = validate_email(text, check_deliverability=False, strict=True)
            except EmailNotValidError:
                pass
            else:
                domain = found.ascii_domain
                address = _by_provider(found.local_part, domain) if rules.provider_rules else f"{found.local_part}@{domain}"
        is_valid = None if text is None else "false" if address is None else "true"
        return {"enriched.email": address, "enriched.email_domain": domain, "enriched.email_is_valid": is_valid}

    return email


def _by_provider(local: str, domain: str) -> str:
    if domain not in _GMAIL:
        return f"{local}@{domain}"
    return f"{local.partition('+')[0].replace('.', '').lower()}@{_GMAIL[0]}"
