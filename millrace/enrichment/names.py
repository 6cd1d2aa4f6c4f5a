"""Names of people as they are written when somebody takes care: spaces, case, and what stands before them put right; nothing is guessed.

A name in one piece is not taken apart: where the last name begins differs between languages, and within them.
"""

import re
import unicodedata
from collections.abc import Mapping

from millrace.enrichment.texts import cleaned, digest_of, first_filled
from millrace.identity.spellings import INVISIBLE

FIRST_READS = ("traits.firstName", "traits.first_name", "context.traits.firstName", "context.traits.first_name", "properties.first_name")
LAST_READS = ("traits.lastName", "traits.last_name", "context.traits.lastName", "context.traits.last_name", "properties.last_name")
FULL_READS = ("traits.name", "context.traits.name")
READS = (*FIRST_READS, *LAST_READS, *FULL_READS)
LONGEST = 200
"""Characters of a value that can be a name."""
_TITLES = (
    "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "professor", "sir", "madam", "herr", "frau", "fräulein", "dipl.-ing", "monsieur", "madame", "mme", "mlle", "señor", "señora",
    "signor", "signora", "dhr", "mevr",
)  # fmt: skip
"""What people are addressed with; left out where a name follows."""
_PARTICLES = (
    "von", "vom", "van", "der", "den", "de", "del", "della", "di", "da", "das", "do", "dos", "du", "des", "la", "le", "zu", "zum", "zur", "ter", "ten", "y", "e", "af", "av", "bin",
    "ibn", "al", "el",
)  # fmt: skip
"""Parts that stay small inside a name."""
_NUMERALS = ("ii", "iii", "iv", "vi", "vii", "viii")
_WORD = re.compile(r"[^\W\d_]+")
_NOT_A_NAME = re.compile(r"[@\d<>{}\[\]|=/\\]")


def name(*values: str | None) -> Mapping[str, str | None]:
    """First and last name of their fields, and the full one: as given, otherwise of the two."""
    first, last, full = (values[start:end] for start, end in ((0, 5), (5, 10), (10, 12)))
    one, other, whole = _spelt(first), _spelt(last, is_last=True), _spelt(full)
    together = " ".join(part for part in (one, other) if part) or None
    return {"enriched.name.first": one, "enriched.name.last": other, "enriched.name.full": whole or together}


def table_digest() -> str:
    """8 hex digits of the tables above."""
    return digest_of([READS, INVISIBLE.pattern, _TITLES, _PARTICLES, _NUMERALS])


def _spelt(values: tuple[str | None, ...], *, is_last: bool = False) -> str | None:
    """The first value that is not empty; null when it is none that a person can have: too long, without a letter, with digits or signs of addresses."""
    text = first_filled(values)
    if text is None or len(text) > LONGEST:
        return None
    words = cleaned(text).split(" ")
    while len(words) > 1 and words[0].rstrip(".").casefold() in _TITLES:
        words = words[1:]
    text = " ".join(words)
    if _NOT_A_NAME.search(text) or not _WORD.search(text):
        return None
    return _with_case(words, is_last=is_last) if text in (text.lower(), text.upper()) and text.lower() != text.upper() else text


def _with_case(words: list[str], *, is_last: bool) -> str:
    """Words of which none, or every one, is in capitals."""
    return " ".join(_word(word.lower().replace("i\u0307", "i"), is_inside=(is_last and len(words) > 1) or number > 0, is_end=number == len(words) - 1) for number, word in enumerate(words))


def _word(word: str, *, is_inside: bool, is_end: bool) -> str:
    if is_inside and not is_end and word in _PARTICLES:
        return word
    if is_inside and word.rstrip(".") in _NUMERALS:
        return word.upper()
    found = _WORD.sub(lambda part: _capital(part[0]), word)
    found = re.sub(r"(?<=\w)['’](S|T)\b", lambda part: part[0].lower(), found)
    return re.sub(r"^Mc(\w)", lambda part: "Mc" + part[1].upper(), found)


def _capital(part: str) -> str:
    """With a first letter as titles have it: one that is written with two letters keeps its second small."""
    return unicodedata.normalize("NFC", part[0].title() + part[1:])
