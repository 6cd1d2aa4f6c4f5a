"""Dated rates of a tenant's file: CSV with the header ``date,currency,rate``; a rate is how many units of the reporting currency one unit of ``currency`` is, exactly.

A day without a rate has none: nothing is taken from a neighbour unless the rules say for how many days a rate holds.
"""

import csv
import io
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

HEADER = ["date", "currency", "rate"]
SHOWN = 5
"""Problems of a file that are told."""
_RATE = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_CODE = re.compile(r"[A-Z]{3,5}")
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass
class RateTable:
    """Days (since 1970) and rates by currency, in order of the days; ``problems``: what is wrong with the file."""

    days: dict[str, list[int]] = field(default_factory=dict)
    rates: dict[str, list[Decimal]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def rate(self, currency: str, day: int, carry_days: int) -> Decimal | None:
        """The rate of a day, or the last one of the ``carry_days`` before it; None when there is none."""
        days = self.days.get(currency, [])
        place = bisect_right(days, day) - 1
        return self.rates[currency][place] if place >= 0 and day - days[place] <= carry_days else None


def read_rates(content: bytes, currency: str) -> RateTable:
    """The rates of a file in a reporting currency."""
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        return RateTable(problems=[f"the file of rates is no CSV in UTF-8 ({error})"])
    if not lines or [name.strip() for name in lines[0]] != HEADER:
        return RateTable(problems=[f"the file of rates begins with {lines[0] if lines else 'nothing'}; its first line must be {','.join(HEADER)}"])
    found: dict[str, dict[int, Decimal]] = {}
    problems: list[str] = []
    for number, line in enumerate(lines[1:], start=2):
        if line:
            problems += [f"line {number} of the file of rates: {problem}" for problem in _take(line, currency, found)]
    if len(problems) > SHOWN:
        problems = [*problems[:SHOWN], f"and {len(problems) - SHOWN} more lines of the file of rates"]
    ordered = {code: sorted(of_days.items()) for code, of_days in found.items()}
    return RateTable({code: [day for day, _ in rows] for code, rows in ordered.items()}, {code: [rate for _, rate in rows] for code, rows in ordered.items()}, problems)


def _take(line: list[str], currency: str, found: dict[str, dict[int, Decimal]]) -> Iterator[str]:
    """Adds the rate of a line, or says what is wrong with it."""
    if len(line) != len(HEADER):
        yield f"found {len(line)} values, {len(HEADER)} are needed"
        return
    text, code, rate = (part.strip() for part in line)
    try:
        day = date.fromisoformat(text).toordinal() - _EPOCH
    except ValueError:
        yield f"date {text!r} is none; write it as 2026-03-01"
        return
    if not _CODE.fullmatch(code):
        yield f"currency {code!r} is no code; write three capital letters such as USD"
    elif code == currency:
        yield f"{code} is the reporting currency, whose rate is 1; take the line out"
    elif not _RATE.fullmatch(rate) or not Decimal(rate):
        yield f"rate {rate!r} is no number above 0 of at most 15 digits before and behind the point"
    elif day in found.setdefault(code, {}):
        yield f"{code} has a second rate for {text}; leave one"
    else:
        found[code][day] = Decimal(rate)
