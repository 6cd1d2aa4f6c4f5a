"""From the text of an expression to its words: names, numbers, texts, durations, dates, signs. parsing.py reads them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from millrace.expressions.tree import MOST_INTEGER, Problem
from millrace.times import micros
from millrace.traits.algebra import SCALE, UNIT

KEYWORDS = frozenset({"and", "or", "not", "in", "between", "is", "null", "contains", "starts", "with", "true", "false", "now"})
_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_WORD = re.compile(
    r"""(?P<space>\s+)
    |(?P<time>\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:\d\d)?)?(?![\w.]))
    |(?P<duration>\d+[wdhms](?!\w))
    |(?P<number>\d+(?:\.\d+)?(?![\w.]))
    |(?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_$]+)*|`[^`]+`)
    |(?P<sign><=|>=|!=|<>|==|[=<>+\-*/()\[\],:])
    |(?P<wrong>'.*|".*|`.*|[\w.]+|.)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """``kind``: name, keyword, sign, integer, number, text, duration, time or end; ``value``: of a literal in its Python form, else the word itself."""

    kind: str
    text: str
    at: int
    value: Any


def tokens_of(text: str, problems: list[Problem]) -> list[Token]:
    """Words of the text in order, an ``end`` last; what is no word becomes a problem."""
    found = []
    for match in _WORD.finditer(text):
        kind, word, at = str(match.lastgroup), match[0], match.start()
        if kind == "wrong":
            problems.append(Problem(at, _wrong(word)))
        elif kind != "space":
            found.append(_token(kind, word, at, problems))
    return [*found, Token("end", "the end", len(text.rstrip()), None)]


def _token(kind: str, word: str, at: int, problems: list[Problem]) -> Token:
    if kind == "name":
        if word.lower() in KEYWORDS:
            return Token("keyword", word.lower(), at, word.lower())
        return Token(kind, word, at, word.strip("`"))
    if kind == "text":
        return Token(kind, word, at, word[1:-1].replace(word[0] * 2, word[0]))
    if kind == "duration":
        return Token(kind, word, at, _inside(int(word[:-1]) * _SECONDS[word[-1]] * 1_000_000, word, at, problems))
    if kind == "time":
        return Token(kind, word, at, _time(word, at, problems))
    if kind == "number":
        return _number(word, at, problems)
    return Token(kind, {"==": "=", "<>": "!="}.get(word, word), at, word)


def _number(word: str, at: int, problems: list[Problem]) -> Token:
    whole, _, fraction = word.partition(".")
    if not fraction and int(whole) <= MOST_INTEGER:
        return Token("integer", word, at, int(whole))
    if len(fraction.rstrip("0")) > SCALE or len(whole.lstrip("0")) > 29:
        problems.append(Problem(at, f"number {word} is too exact or too large: at most 29 digits before the point and {SCALE} after it"))
        return Token("number", word, at, 0)
    return Token("number", word, at, int(whole) * UNIT + int(fraction.rstrip("0").ljust(SCALE, "0") or "0"))


def _time(word: str, at: int, problems: list[Problem]) -> int:
    try:
        moment = datetime.fromisoformat(word)
        return micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        problems.append(Problem(at, f"{word} is no date of the calendar; write it as 2025-01-31 or 2025-01-31T18:00:00Z"))
        return 0


def _inside(length: int, word: str, at: int, problems: list[Problem]) -> int:
    if length > MOST_INTEGER:
        problems.append(Problem(at, f"duration {word} is too long: at most 106751991d"))
        return 0
    return length


def _wrong(word: str) -> str:
    if word[0] in "'\"`":
        return f"the text that starts here has no closing {word[0]}"
    if word[0].isdigit():
        return f"{word!r} is neither a number (2.5), a duration (3d, 12h, 30m) nor a date (2025-01-31)"
    return f"found {word!r}; allowed are names, numbers, texts in quotes, durations (3d), dates and the signs = != < <= > >= + - * / ( ) [ ] ,"
