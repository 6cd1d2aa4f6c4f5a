"""Average linkage: which rows are one person, given how probable each pair is. One weak bridge does not chain two groups together.

Groups that share a probable pair are joined, the pair of groups that is most alike on average first, while they are one person on average rather than not, and while
the joined group keeps within what a person may have (two values of a unique namespace never meet).
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

ON_AVERAGE = 0.5


@dataclass(frozen=True)
class Limits:
    """What a person may have: ``held`` (rows × namespaces) is how many values each row has, ``caps`` the most of a person. ``apart``: pairs of rows that
    somebody has decided are never one person."""

    held: np.ndarray
    caps: np.ndarray
    apart: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    def break_by(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Number of the first namespace in which rows ``one`` and ``other`` together have too many; −1 where none."""
        broken = self.held[one] + self.held[other] > self.caps
        return np.where(broken.any(axis=-1), broken.argmax(axis=-1), -1) if broken.shape[-1] else np.full(broken.shape[:-1], -1)

    def part(self, one: np.ndarray, other: np.ndarray, *, group: np.ndarray | None = None) -> np.ndarray:
        """Whether rows ``one`` and ``other`` are a pair that is apart; with a ``group`` of each row, whether such a pair is between their groups."""
        apart = self.apart if group is None else group[self.apart]
        low, high = np.sort(apart, axis=1).T
        wide = int(max(one.max(initial=0), other.max(initial=0), high.max(initial=0))) + 1
        return np.isin(np.minimum(one, other) * wide + np.maximum(one, other), low * wide + high)


def no_limits(rows: int) -> Limits:
    return Limits(np.zeros((rows, 0), np.int64), np.zeros(0, np.int64))


def components(rows: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """A number for each row, equal for rows that a chain of pairs joins."""
    return connected_components(coo_matrix((np.ones(len(left), np.int8), (left, right)), shape=(rows, rows)), directed=False)[1]


def pairs_within(labels: np.ndarray, *, largest: int) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of rows that share a label, of labels on two to ``largest`` rows."""
    left, right = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for group in _groups(labels, largest=largest):
        one, other = np.triu_indices(len(group), 1)
        left.append(group[one])
        right.append(group[other])
    return np.concatenate(left), np.concatenate(right)


def _groups(labels: np.ndarray, *, largest: int) -> list[np.ndarray]:
    order = np.argsort(labels, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    return [part for part in parts if 2 <= len(part) <= largest]


def average_linkage(labels: np.ndarray, pairs: tuple[np.ndarray, np.ndarray, np.ndarray], limits: Limits, *, accept: float, largest: int) -> np.ndarray:
    """The person of each row: a number that is the smallest row of the person. In: components, and (left, right, probability) of all pairs within them.
    Components with more than ``largest`` rows stay apart, row by row: they are for people to look at."""
    person, place = np.arange(len(labels)), np.zeros(len(labels), np.int64)
    left, right, probability = pairs
    order = np.argsort(labels[left], kind="stable")
    starts = np.searchsorted(labels[left][order], np.arange(labels.max(initial=-1) + 2))
    apart = limits.apart[labels[limits.apart[:, 0]] == labels[limits.apart[:, 1]]]
    for group in _groups(labels, largest=largest):
        place[group] = np.arange(len(group))
        chosen = order[starts[labels[group[0]]] : starts[labels[group[0]] + 1]]
        likeness = np.zeros((len(group), len(group)))
        likeness[place[left[chosen]], place[right[chosen]]] = probability[chosen]
        foes = np.zeros(likeness.shape, dtype=bool)
        parted = place[apart[labels[apart[:, 0]] == labels[group[0]]]]
        foes[parted[:, 0], parted[:, 1]] = True
        person[group] = group[_linked(likeness + likeness.T, limits.held[group].copy(), limits.caps, accept, foes | foes.T)]
    return person


def _linked(total: np.ndarray, held: np.ndarray, caps: np.ndarray, accept: float, foes: np.ndarray) -> np.ndarray:
    """First member of the group of each row. ``total``: sums of probabilities between groups, at first of single rows; ``foes``: those that never join."""
    count = len(total)
    best, size, first = total.copy(), np.ones(count), np.arange(count)
    while True:
        allowed = (best >= accept) & ~foes & ~((held[:, None, :] + held[None, :, :]) > caps).any(axis=2)
        average = np.where(allowed, total / np.outer(size, size), -1.0)
        one, other = np.unravel_index(np.argmax(average), average.shape)
        if average[one, other] < ON_AVERAGE:
            return first
        one, other = min(one, other), max(one, other)
        first[first == other] = one
        total[one] += total[other]
        best[one] = np.maximum(best[one], best[other])
        foes[one] |= foes[other]
        total[:, one], best[:, one], foes[:, one] = total[one], best[one], foes[one]
        for matrix in (total, best):
            matrix[one, one] = 0
            matrix[other], matrix[:, other] = 0, 0
        size[one] += size[other]
        held[one] += held[other]
