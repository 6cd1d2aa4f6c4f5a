"""Which texts are read in one go: those within our bounds of depth and digits, in UTF-8. messages.py asks before it reads, the collector before it takes."""

import re

import numpy as np
import pyarrow as pa

from millrace.events.json_values import DEEPEST, LONGEST

_LONG_NUMBER = re.compile(rb"[0-9.eE+-]{%d}" % LONGEST)


def is_bounded(text: bytes) -> bool:
    """Whether a text has neither more levels nor longer numbers than are read."""
    return text.count(b"{") + text.count(b"[") <= DEEPEST and not has_long_number(text)


def has_long_number(text: bytes) -> bool:
    """Whether a number may be longer than is read; a text of digits looks the same here."""
    return len(text) - len(text.translate(None, b"0123456789")) > LONGEST and _LONG_NUMBER.search(text) is not None


def not_utf8(payloads: pa.Array) -> np.ndarray:
    """Rows that are absent or no UTF-8."""
    try:
        payloads.cast(pa.string())
        return np.flatnonzero(payloads.is_null().to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid:
        return np.flatnonzero([text is None or not _is_utf8(text) for text in payloads.to_pylist()])


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
