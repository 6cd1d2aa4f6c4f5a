"""What was known at an instant: the last epoch that existed then, and the decisions about persons made by then. In: ledger and decisions; out: numbers for many instants.

historical.py sends one of these to the executors. Pure once it is made; times are microseconds since 1970.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from millrace.identity.decisions import Decisions, standing
from millrace.tables.ledger import Ledger
from millrace.times import micros

PLACE = pa.schema([("head_then", pa.int64()), ("head", pa.int64()), ("decisions", pa.int64())])
"""Where a question stands. ``head_then``: the last epoch that existed at the instant; ``head``: the last one that existed when it was known; ``decisions``: the last one known."""


class Knowledge:
    """``committed``: when each epoch came to exist, from epoch 1 on. An epoch exists only together with all before it, whatever the clocks said."""

    def __init__(self, committed: np.ndarray, decisions: Iterable[Mapping[str, Any]] = ()) -> None:
        self._committed = np.maximum.accumulate(committed) if len(committed) else committed
        self._rows = sorted(decisions, key=lambda row: row["decision_id"])
        decided = np.array([micros(row["decided_at"]) for row in self._rows], np.int64)
        self._decided = np.maximum.accumulate(decided) if len(decided) else decided
        self._numbers = np.array([0, *(row["decision_id"] for row in self._rows)], np.int64)

    def place(self, at: np.ndarray, known_at: np.ndarray) -> pa.Table:
        """Rows of PLACE. What was never known before ``known_at`` has a head of 0."""
        heads = (np.searchsorted(self._committed, times, side="right") for times in (at, known_at))
        numbers = self._numbers[np.searchsorted(self._decided, known_at, side="right")]
        return pa.table([pa.array(column, pa.int64()) for column in (*heads, numbers)], schema=PLACE)

    @property
    def last_decision(self) -> int:
        """The newest decision there is; 0 for none."""
        return int(self._numbers[-1])

    @property
    def decided(self) -> "Decided":
        return Decided(self._rows)


class Decided:
    """Decisions about persons by the number of the last one that is known."""

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self._rows = list(rows)
        self._upto = lru_cache(None)(self._standing)

    def upto(self, number: int) -> Decisions:
        return self._upto(number)

    def ever(self) -> Decisions:
        """Every join there has been, withdrawn or not, and nothing else: who may have been one person at any time."""
        pairs = (self._standing(number).joined for number in range(1, max((row["decision_id"] for row in self._rows), default=0) + 1))
        return Decisions(joined=frozenset().union(*pairs))

    def __reduce__(self) -> tuple[type["Decided"], tuple[list[Mapping[str, Any]]]]:
        return Decided, (self._rows,)

    def _standing(self, number: int) -> Decisions:
        return standing(row for row in self._rows if row["decision_id"] <= number)


def committed_at(ledger: Ledger) -> np.ndarray:
    """When each epoch of a ledger came to exist, in its order."""
    times = ledger.rows["committed_at"].cast(pa.int64()).to_numpy()
    epochs = ledger.rows["epoch"].to_numpy()
    return times[np.flatnonzero(np.r_[True, epochs[1:] != epochs[:-1]])] if len(epochs) else times
