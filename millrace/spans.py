"""Lengths of time as people write them: 90s, 5m, 1h, 2d. Jobs parse their options with it."""

import argparse
import re

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds_of(text: str) -> int:
    """Seconds of a length such as ``5m``; a bare number is seconds. argparse shows the error as the option's."""
    match = re.fullmatch(r"(\d+)([smhd]?)", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed are 90s, 5m, 1h, 2d")
    return int(match[1]) * _UNITS[match[2] or "s"]
