"""History of entities (slowly changing dimension, type 2) as an algebra: a set of statements, and the versions that follow from it.

A statement says what held of a key from an instant on. Statements are merged by their id, the earliest saying of one counting; versions are the statements of
a key in order, each holding until the next. So the same statements give the same history, in whatever order and however often they come (ADR 0025).
"""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple


class Statement(NamedTuple):
    """``valid_from``: microseconds since 1970. ``sequence`` and ``place`` order what is said of one instant. ``attributes``: canonical JSON; of a deleted key None."""

    change_id: str
    key: str
    valid_from: int
    sequence: int
    place: int
    attributes: str | None
    deleted: bool
    run_id: str

    @property
    def order(self) -> tuple[int, int, int, str]:
        return self.valid_from, self.sequence, self.place, self.change_id


class Version(NamedTuple):
    """A statement with the instant until which it held: None for the last. One that was corrected ends where it begins."""

    said: Statement
    valid_to: int | None


def change_id(source: str, key: str, valid_from: int, attributes: str | None, *, deleted: bool, number: str | None = None) -> str:
    """Equal for equal statements. ``number``: of sources that number their changes, so that going back to an earlier value within one instant is a change."""
    parts = [source, key, str(valid_from), "-" if attributes is None else f"={attributes}", str(deleted), str(number)]
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    return digest.hexdigest()


def merged(known: Iterable[Statement], said: Iterable[Statement]) -> dict[str, Statement]:
    """Both by id. Of two sayings of the same the earlier counts: repeating is no correction."""
    found = {one.change_id: one for one in known}
    for one in said:
        before = found.get(one.change_id)
        if before is None or one.order < before.order:
            found[one.change_id] = one if before is None else one._replace(run_id=before.run_id)
    return found


def versions(statements: Iterable[Statement]) -> Iterator[Version]:
    """The history of each key, oldest first."""
    ordered = sorted(statements, key=lambda one: (one.key, one.order))
    for _, of_key in groupby(ordered, key=lambda one: one.key):
        line = list(of_key)
        for one, following in zip(line, [*line[1:], None], strict=True):
            yield Version(one, following.valid_from if following else None)
