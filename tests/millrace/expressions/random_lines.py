"""Random expressions of every type and operation, as text, and rows full of edges: what the three forms are compared on."""

import random
from typing import Any

from millrace.traits.algebra import UNIT
from tests.millrace.expressions.cases import DAY, NOW

NAMES = {
    "n1": "integer", "n2": "integer", "x1": "number", "x2": "number", "s1": "text", "s2": "text", "t1": "time", "t2": "time", "b1": "boolean", "b2": "boolean",
    "l1": "list", "e1": "times", "e2": "times",
}  # fmt: skip
TEXTS = ["", "a", "A", "Ä", "ä", "İ", "ẞ", "Σας", "\U00010400", "\U0001f34e", "12.5", "-0", "+7", "1e3", "12.5\n", "1" * 20, "a'b", 'a"b', "50%", "a\\b", "{0}"]
TIMES = [
    0,
    -1,
    1,
    NOW,
    NOW - 1,
    NOW + 1,
    NOW - DAY,
    951_782_400_000_000,
    951_868_799_999_999,
    -62_135_596_800_000_000,
    253_402_300_799_999_999,
    1_711_846_800_000_000,
]
"""Among them the first and the last microsecond of 2000-02-29, of years 1 and 9999, and the hour in which Berlin's clocks go forward."""
INTEGERS = [0, 1, -1, 7, 100, 2**31, -(2**63), 2**63 - 1, 10**18]
NUMBERS = [
    0,
    1,
    -1,
    UNIT,
    -UNIT,
    UNIT // 2,
    -UNIT // 2,
    12_345_678_912,
    -5 * UNIT // 3,
    10**29 - 1,
    10**29,
    -(10**29),
    10**38 - 1,
    10**19,
    33_333_333_333,
    15 * UNIT // 10,
]


def rows(chance: random.Random, count: int) -> list[dict[str, Any]]:
    edges = {"integer": INTEGERS, "number": NUMBERS, "text": TEXTS, "time": TIMES, "boolean": [True, False]}

    def value(type: str) -> Any:
        if chance.randrange(6) == 0:
            return None
        if type == "list":
            return tuple(chance.sample(TEXTS, chance.randrange(4)))
        if type == "times":
            return tuple(sorted(chance.sample([NOW - n * DAY // 2 for n in range(8)], chance.randrange(4))))
        if type == "number" and chance.randrange(2):
            return chance.randrange(-(10 ** chance.randrange(1, 30)), 10 ** chance.randrange(1, 30))
        return chance.choice(edges[type])

    return [{name: value(type) for name, type in NAMES.items()} for _ in range(count)]


class Writer:
    """Writes expressions of a wanted type, smaller the deeper."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def write(self, type: str, depth: int) -> str:
        if depth == 0 or self._chance.randrange(5) == 0:
            return self._leaf(type)
        return getattr(self, f"_{type}")(depth - 1)

    def _leaf(self, type: str) -> str:
        names = [name for name, other in NAMES.items() if other == type]
        if names and (self._chance.randrange(3) or type in ("list", "times")):
            return self._chance.choice(names)
        if type == "integer":
            return str(self._chance.choice([0, 1, 2, 7, 100, 2**40, 2**63 - 1, -3]))
        if type == "number":
            return self._chance.choice(["0.0", "1.5", "0.000000001", "2.5", "33.333333333", "-0.5", "99999999999999999999.999999999", "1" + "0" * 28 + ".5"])
        if type == "text":
            return "'" + self._chance.choice(TEXTS).replace("'", "''") + "'"
        if type == "time":
            return self._chance.choice(["2000-02-29", "2024-02-29T23:59:59.999999", "1970-01-01", "9999-12-31", "2024-03-31T01:00:00+02:00"])
        return self._chance.choice(["3d 12h", "1s", "0d", "100000000d"]) if type == "duration" else self._chance.choice(["true", "false"])

    def _some(self, *types: str) -> str:
        return self._chance.choice(types)

    def _integer(self, depth: int) -> str:
        def write(type: str) -> str:
            return self.write(type, depth)

        return self._chance.choice([
            lambda: f"({write('integer')} {self._some('+', '-', '*')} {write('integer')})", lambda: f"-({write('integer')})", lambda: f"abs({write('integer')})",
            lambda: f"length({write('text')})", lambda: f"{self._some('year', 'month', 'day', 'hour')}({write('time')})",
            lambda: f"days({write('duration')})", lambda: f"count({self._some('l1', 'e1', 'e2')})", lambda: f"bucket('salt', {write('text')}, 1000)",
            lambda: f"{self._some('min', 'max')}({write('integer')}, {write('integer')})", lambda: f"coalesce({write('integer')}, {write('integer')})",
        ])()  # fmt: skip

    def _number(self, depth: int) -> str:
        def write(*types: str) -> str:
            return self.write(self._some(*types), depth)

        return self._chance.choice([
            lambda: f"({write('number')} {self._some('+', '-', '*', '/')} {write('number', 'integer')})", lambda: f"({write('integer')} / {write('integer', 'number')})",
            lambda: f"-({write('number')})", lambda: f"abs({write('number')})", lambda: f"round({write('number')}, {self._chance.randrange(10)})",
            lambda: f"number({write('text')})", lambda: f"{self._some('min', 'max')}({write('number')}, {write('number', 'integer')})",
            lambda: f"coalesce({write('integer', 'number')}, {write('number')})",
        ])()  # fmt: skip

    def _text(self, depth: int) -> str:
        call = self._some("lower", "coalesce", "min", "max")
        return f"lower({self.write('text', depth)})" if call == "lower" else f"{call}({self.write('text', depth)}, {self.write('text', depth)})"

    def _time(self, depth: int) -> str:
        if self._chance.randrange(3):
            return f"({self.write('time', depth)} {self._some('+', '-')} {self.write('duration', depth)})"
        return f"{self._some('min', 'max', 'coalesce')}({self.write('time', depth)}, {self.write('time', depth)})"

    def _duration(self, depth: int) -> str:
        if self._chance.randrange(2):
            return f"({self.write('time', depth)} - {self.write('time', depth)})"
        return f"({self.write('duration', depth)} * {self.write('integer', depth)})"

    def _boolean(self, depth: int) -> str:
        def write(type: str) -> str:
            return self.write(type, depth)

        kind = self._some("integer", "number", "text", "time", "duration")
        return self._chance.choice([
            lambda: f"({write('boolean')} {self._some('and', 'or')} {write('boolean')})", lambda: f"(not {write('boolean')})",
            lambda: f"({write('boolean')} {self._some('=', '!=')} {write('boolean')})", lambda: f"coalesce({write('boolean')}, {write('boolean')})",
            lambda: f"({write(kind)} {self._some('=', '!=', '<', '<=', '>', '>=')} {write(kind)})", lambda: f"({write('integer')} < {write('number')})",
            lambda: f"({write(kind)} {self._some('in', 'not in')} [{write(kind)}, {write(kind)}, {write(kind)}])",
            lambda: f"({write(kind)} {self._some('between', 'not between')} {write(kind)} and {write(kind)})",
            lambda: f"({write(self._some(kind, 'boolean'))} is {self._some('null', 'not null')})", lambda: f"({write('text')} {self._some('contains', 'starts with')} {write('text')})",
            lambda: f"(l1 contains {write('text')})", lambda: f"(now - {write('time')} {self._some('<', '>=')} {write('duration')})",
            lambda: f"{self._some('followed_by', 'not_followed_by')}({self._some('e1', 'e2')}, {self._some('e1', 'e2')}, within: {self._some('12h', '1d', '36h')})",
            lambda: f"followed_by({self._some('e1', 'e2')}, {self._some('e1', 'e2')})",
            lambda: f"(funnel({', '.join(self._some('e1', 'e2') for _ in range(self._chance.randrange(2, 5)))}{self._some('', ', within: 12h', ', within: 36h')}) {self._some('>=', '=')} {self._some('1', '2', '3')})",
        ])()  # fmt: skip


def lines(chance: random.Random, count: int) -> list[str]:
    types = ["boolean"] * 4 + ["integer", "number", "number", "text", "time", "duration"]
    return [Writer(chance).write(types[number % len(types)], 1 + chance.randrange(4)) for number in range(count)]
