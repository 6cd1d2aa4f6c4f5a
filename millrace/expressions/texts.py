"""Rules about texts that no two engines share by themselves: lower case and numbers in text. All forms use these tables and patterns."""

import re
from functools import cache

from millrace.traits.algebra import SCALE, UNIT

NUMBER_PATTERN = rf"^[+-]?[0-9]{{1,20}}([.][0-9]{{1,{SCALE}}})?$"
"""Texts that ``number`` reads; any other is unknown. (``$`` before a last line break is kept out by the forms: Python matches the whole text.)"""
_NUMBER = re.compile(NUMBER_PATTERN.strip("^$"))


def number_of(text: str) -> int | None:
    """The scaled integer of a decimal text, None for any other text."""
    if not _NUMBER.fullmatch(text):
        return None
    whole, _, fraction = text.lstrip("+-").partition(".")
    number = int(whole) * UNIT + int(fraction.ljust(SCALE, "0") or "0")
    return -number if text[0] == "-" else number


@cache
def letters() -> tuple[str, str]:
    """Capital letters and their small ones, place by place: those for which that is one letter (not İ)."""
    pairs = [(chr(code), chr(code).lower()) for code in range(0x11_0000) if not 0xD800 <= code < 0xE000 and len(chr(code).lower()) == 1]
    changed = [(capital, small) for capital, small in pairs if capital != small]
    return "".join(capital for capital, _ in changed), "".join(small for _, small in changed)


@cache
def _table() -> dict[int, int]:
    return {ord(capital): ord(small) for capital, small in zip(*letters(), strict=True)}


def lowered(text: str) -> str:
    """The text with each capital letter replaced by its small one."""
    return text.lower() if text.isascii() else text.translate(_table())
