"""Where two batch versions differ: keys of their bases that only one has, or both with other bytes. The follower of segments asks at a publish."""

from collections.abc import Iterator

from serving.store.batch_base import BaseReader

STRIDE = 10_000


def differing(old: BaseReader, new: BaseReader, database: str) -> Iterator[list[str]]:
    """Walks a database of both side by side. Gives a list, often an empty one, for every ``STRIDE`` keys: who asks can do something else between."""
    left, right = old.pairs(database), new.pairs(database)
    one, other = next(left, None), next(right, None)
    found: list[str] = []
    compared = 0
    while one is not None or other is not None:
        if one == other:
            one, other = next(left, None), next(right, None)
        elif other is None or (one is not None and one[0] < other[0]):
            found.append(one[0].decode())
            one = next(left, None)
        else:
            found.append(other[0].decode())
            is_same = one is not None and one[0] == other[0]
            one, other = next(left, None) if is_same else one, next(right, None)
        compared += 1
        if compared % STRIDE == 0:
            yield found
            found = []
    yield found
