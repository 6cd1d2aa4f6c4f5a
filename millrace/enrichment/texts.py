"""What the families of enriched values do with texts alike: the first of several inputs, and the digest of a table of their own."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from millrace.identity.spellings import INVISIBLE

_SPACE = re.compile(r"[\s\x00-\x1f\x7f]+")


def first_filled(values: Iterable[str | None]) -> str | None:
    """The first value that is more than white space, without the white space around it."""
    return next((text for value in values if value and (text := value.strip())), None)


def digest_of(table: Any) -> str:
    """8 hex digits that change when anything in the table does; part of the versions of a family (rules.py)."""
    return hashlib.sha256(json.dumps(table).encode()).hexdigest()[:8]


def cleaned(text: str) -> str:
    """The text composed (NFC), without characters that show nothing, and with one space where there was any white space or control character."""
    return _SPACE.sub(" ", INVISIBLE.sub("", unicodedata.normalize("NFC", text))).strip()
