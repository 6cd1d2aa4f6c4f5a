"""What is counted of one source in one window. Tallies add up: in any order and split, the sum is the same. counting.py fills them, measures.py reads them."""

import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

OTHER = "(other)"
MOST_NAMES = 1_000
"""Different names of events that are told apart."""
STEPS = 100
"""Steps of lateness to an e-fold: a time is known within half a percent."""
ABSENT = -1
"""Bucket of a value that is null."""


@dataclass
class Names:
    """Counts by name. Of too many names those with the smallest digests are kept, which is the same choice whatever comes first; the rest count as ``(other)``."""

    counts: Counter[str] = field(default_factory=Counter)
    _from: tuple[int, str] | None = None

    def add(self, found: Iterable[tuple[str, int]]) -> None:
        """Names may come more than once."""
        for name, count in found:
            is_other = name == OTHER or (self._from is not None and _digest(name) >= self._from)
            self.counts[OTHER if is_other else name] += count
        named = self.counts.keys() - {OTHER}
        if len(named) > MOST_NAMES:
            ordered = sorted(named, key=_digest)
            self._from = _digest(ordered[MOST_NAMES])
            self.counts[OTHER] += sum(self.counts.pop(name) for name in ordered[MOST_NAMES:])

    def merge(self, other: "Names") -> None:
        """Takes in what was counted elsewhere."""
        if other._from is not None and (self._from is None or other._from < self._from):
            self._from = other._from
            left = [name for name in self.counts if name != OTHER and _digest(name) >= self._from]
            self.counts[OTHER] += sum(self.counts.pop(name) for name in left)
        self.add(other.counts.items())


def _digest(name: str) -> tuple[int, str]:
    return zlib.crc32(name.encode()), name


@dataclass
class Tally:
    """Records of a source in a window. ``lateness``: counts by step (``lateness_step``); ``late``: those beyond a day; ``namespaces``: how many had an identifier of
    it; ``fields``: by number of the field, counts by bucket of its values. All but the first four are of accepted records that are no duplicates."""

    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    last_received: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    lateness: Counter[int] = field(default_factory=Counter)
    late: int = 0
    events: Names = field(default_factory=Names)
    types: Counter[str] = field(default_factory=Counter)
    namespaces: Counter[str] = field(default_factory=Counter)
    fields: dict[int, Counter[int]] = field(default_factory=dict)

    @property
    def received(self) -> int:
        return self.accepted + self.duplicate + self.rejected

    def merge(self, other: "Tally") -> None:
        """Takes in another: the same as if its records had been counted here."""
        self.accepted += other.accepted
        self.duplicate += other.duplicate
        self.rejected += other.rejected
        self.last_received = max(self.last_received, other.last_received)
        self.late += other.late
        self.events.merge(other.events)
        for name in ("reasons", "lateness", "types", "namespaces"):
            getattr(self, name).update(getattr(other, name))
        for number, counts in other.fields.items():
            self.fields.setdefault(number, Counter()).update(counts)


def lateness_steps(micros: np.ndarray) -> np.ndarray:
    """Steps of times in microseconds: linear below a millisecond, then by their logarithm; negative for what came before it happened."""
    return np.rint(np.arcsinh(micros / 1_000) * STEPS).astype(np.int64)


def seconds_of_step(step: float) -> float:
    """The middle of a step, in seconds."""
    return float(np.sinh(step / STEPS)) / 1_000
