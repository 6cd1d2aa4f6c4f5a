"""Instants as microseconds since 1970: from Python's times, and as text. Everything that reads or shows a time calls it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache

MICROS = 1_000_000
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY = 86_400 * MICROS
_TWO_DIGITS = tuple(f"{number:02d}" for number in range(60))


def time_text(at: int) -> str:
    """Microseconds since 1970 as RFC 3339 with ``Z``; the fraction only when it is not zero."""
    day, rest = divmod(at, _DAY)
    second, fraction = divmod(rest, MICROS)
    minute, second = divmod(second, 60)
    clock = f"{_date(day)}T{_TWO_DIGITS[minute // 60]}:{_TWO_DIGITS[minute % 60]}:{_TWO_DIGITS[second]}"
    return f"{clock}.{fraction:06d}Z" if fraction else f"{clock}Z"


@lru_cache(4096)
def _date(day: int) -> str:
    return (_EPOCH + timedelta(day)).date().isoformat()


def instant_of(at: int) -> datetime:
    """Microseconds since 1970 as a time in UTC, exactly."""
    return (_EPOCH + at * _MICROSECOND).replace(tzinfo=UTC)


def milliseconds_text(milliseconds: float | str | Decimal) -> str:
    """Milliseconds since 1970 as RFC 3339. What is no instant is left as it is: the speed layer keeps what it refuses."""
    try:
        return f"{(_EPOCH + timedelta(milliseconds=float(milliseconds))).isoformat(timespec='milliseconds')}Z"
    except (ValueError, OverflowError):
        return str(milliseconds)


def micros(at: datetime) -> int:
    """Microseconds since 1970 of a time; one without a zone is taken as UTC."""
    naive = at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at
    return (naive - _EPOCH) // _MICROSECOND
