"""One spelling for identifiers that are written beyond ASCII; what is ASCII never comes here. nodes.py calls it for values it has not seen lately.

Typed on different machines, one address comes composed or decomposed, in full width, with a zero-width space from a web page: it is one address. The rules are
those of Unicode (UAX 15, caseless matching D147) and of domain names (UTS 46); ADR 0015 says what happens to history when they change.
"""

import re
import unicodedata
from functools import lru_cache

import idna

NORMALISER = 2
"""Number of the rules of normalisation; part of the definitions. Whoever changes what a value becomes counts it up."""
FIRST_NORMALISER = 1
"""ASCII alone was normalised; of definitions and epochs that name none."""
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Default_Ignorable_Code_Point of Unicode 16: nobody sees them."""
_SPACES = " \t\n\r\f\v\x85\u1680\u2028\u2029"
"""What NFKC leaves of white space, each at the ends only."""
LONGEST_DOMAIN = 253


def spelt(namespace: str, value: str) -> str:
    """The value in one spelling: NFKC without invisible characters, trimmed; e-mail without regard to case, its domain as the DNS has it; digits of phones as 0-9."""
    text = unicodedata.normalize("NFKC", INVISIBLE.sub("", value)).strip(_SPACES)
    if namespace == "email":
        return _email(text)
    if namespace == "phone":
        return "".join(str(unicodedata.decimal(letter, letter)) for letter in text)
    return text


def _email(text: str) -> str:
    local, at, domain = text.rpartition("@")
    return f"{_caseless(local)}{at}{_domain(domain)}" if at else _caseless(text)


def _caseless(text: str) -> str:
    """NFKC(casefold(NFKC(casefold(NFD(x))))): equal for what differs in case alone, and stable."""
    for form in ("NFD", "NFKC"):
        text = unicodedata.normalize(form, text).casefold()
    return unicodedata.normalize("NFKC", text)


@lru_cache(4096)
def _domain(text: str) -> str:
    """ASCII as in the DNS; a name that cannot be one only without regard to case."""
    if not text.isascii() and len(text) <= LONGEST_DOMAIN:
        try:
            return idna.encode(text, uts46=True).decode("ascii")
        except UnicodeError:
            pass
    return _caseless(text)
