"""Times that messages claim, as microseconds since 1970: ISO 8601, UTC without a zone, digits beyond the microsecond cut off. standard.py calls it."""

import re
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?(?:[Zz]|([+-])([0-9]{2})(?::?([0-9]{2}))?)?)?"
)
_PLAIN = r"^(19[7-9]|[2-9][0-9][0-9])[0-9]-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?Z$"
"""The spelling of nearly all messages, on days that every month has: Arrow reads it."""
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_FOUR_CENTURIES = 146_097


def claimed_times(spelled: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The times and whether each is one; a null is none."""
    plain = pc.match_substring_regex(spelled, _PLAIN).fill_null(False).to_numpy(zero_copy_only=False)
    read = pc.if_else(pa.array(plain), spelled, pa.scalar(None, pa.string())) if not plain.all() else spelled
    times = read.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).copy()
    is_time = plain.copy()
    others = np.flatnonzero(~plain & spelled.is_valid().to_numpy(zero_copy_only=False))
    for row, text in zip(others.tolist(), spelled.take(pa.array(others)).to_pylist(), strict=True):
        if (found := parse_time(text)) is not None:
            times[row], is_time[row] = found, True
    return times, is_time


def parse_time(text: str) -> int | None:
    """Microseconds since 1970; None when the text is no time."""
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    micros = int((match[7] or "").ljust(6, "0")[:6])
    zone_hours, zone_minutes = int(match[9] or 0), int(match[10] or 0)
    zone = (zone_hours * 60 + zone_minutes) * (-1 if match[8] == "-" else 1)
    try:
        days = date(year or 400, month, day).toordinal() - _EPOCH_DAY - (0 if year else _FOUR_CENTURIES)  # the year 0 is one of the calendar, not of ``date``
    except ValueError:
        return None
    if hour > 23 or minute > 59 or second > 59 or abs(zone) > 18 * 60 or zone_minutes > 59:
        return None
    return ((days * 24 + hour) * 60 + minute - zone) * 60_000_000 + second * 1_000_000 + micros
