"""How far a mix (of events, types, values) lies from that of history: the Jensen–Shannon divergence, in bits, 0 for the same and 1 for nothing in common."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2

from serving.data_health.scales import RARE


class Divergence(NamedTuple):
    """``noise``: what records drawn from history itself would show on average; ``allowance``: how much more than that they show once in some 30,000 draws."""

    bits: float
    noise: float
    allowance: float


def divergence(counts: Mapping[str, int], reference: Mapping[str, int]) -> Divergence:
    """Neither may be empty. For few records chance is taken from its limit: 8·ln 2·records times the divergence has a chi-squared distribution (Lin 1991)."""
    names = sorted({*counts, *reference})
    one, other = (np.array([found.get(name, 0) for name in names], np.float64) for found in (counts, reference))
    records, known = one.sum(), other.sum()
    one, other = one / records, other / known
    middle = (one + other) / 2
    bits = max(0.0, (_bits(one, middle) + _bits(other, middle)) / 2)
    freedom = max(len(names) - 1, 1)
    factor = (1 / records + 1 / known) / (8 * np.log(2))
    return Divergence(bits, freedom * factor, (_rare(freedom) - freedom) * factor)


def _bits(one: np.ndarray, middle: np.ndarray) -> float:
    present = one > 0
    return float(np.sum(one[present] * np.log2(one[present] / middle[present])))


@lru_cache(4096)
def _rare(freedom: int) -> float:
    return float(chi2.isf(RARE, freedom))
