"""Values that somebody typed to get past a form: ``aaaa``, ``12345678``, ``qwertz``. All there are, so that rules.py can block their nodes: a token shows nothing of its value.

A value is simple when each character follows from the one before in the same way: the same one, or the next one, or the one before in a row of ``ROWS``.
"""

from collections.abc import Iterator
from functools import lru_cache

from millrace.identity.nodes import node_of

LONGEST = 64
ROWS = ("0123456789" * 4, "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "qwertzuiop", "azertyuiop", "asdfghjkl", "zxcvbnm", "yxcvbnm")
REPEATED = "0123456789abcdefghijklmnopqrstuvwxyz-_.*#?!"


def simple_values(least: int) -> Iterator[str]:
    """Every simple value of ``least`` to LONGEST characters, in lower case."""
    for letter in REPEATED:
        yield from (letter * length for length in range(least, LONGEST + 1))
    for row in ROWS:
        for way in (row, row[::-1]):
            for start in range(min(len(way), 10 if way[0].isdigit() else len(way))):
                yield from (way[start:stop] for stop in range(start + least, min(len(way), start + LONGEST) + 1))


@lru_cache(16)
def simple_nodes(namespace: str, least: int, secret: bytes) -> frozenset[str]:
    """Their nodes under the tenant's key, in lower and in UPPER case; of phones also with a leading plus."""
    values = set(simple_values(least))
    values |= {f"+{value}" for value in values} if namespace == "phone" else {value.upper() for value in values}
    return frozenset(node for value in values if (node := node_of(namespace, value, secret)))
