"""Lengths of time as people write them: 20ms, 90s, 5m, 1h, 7d. The configuration and definitions read and show them with it."""

import re
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001}


def seconds_of(text: str) -> float:
    """Seconds of a length such as ``5m``; a bare number is seconds. ValueError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|[smhd]?)", text.strip(), re.ASCII)
    if match is None:
        raise ValueError("a length of time is needed, such as 20ms, 90s, 5m, 1h or 7d")
    return float(match[1]) * _UNITS[match[2] or "s"]


def span_text(seconds: float) -> str:
    """The length in the largest unit that shows it as a whole number."""
    for unit, size in _UNITS.items():
        count = seconds / size
        if seconds and abs(count - round(count)) < 1e-9:
            return f"{round(count)}{unit}"
    return f"{seconds:g}s"


Span = Annotated[float, BeforeValidator(lambda value: seconds_of(str(value))), PlainSerializer(span_text)]
"""A length of time, in seconds; people write 5m."""
