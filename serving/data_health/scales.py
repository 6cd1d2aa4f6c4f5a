"""Scales on which a measure has the same spread wherever it lies, so that one median and one spread describe its history. bands.py calls them.

Of each: the value on the scale, the way back, the variance that chance alone gives (a count, or a share of so few records, is never steady), how a spread learned
from history grows with the value, and the smallest spread that is believed: nobody wants to hear of less.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtrik, pdtrik
from scipy.stats import norm

REACH = 4.0
"""How far the ends of a band lie from its middle, in spreads, when the spread is well known: 1 in 30,000 by chance on each side."""
RARE = float(norm.sf(REACH))
Numbers = np.ndarray
SMALLEST_COUNT_SPREAD = 0.05
SMALLEST_SHARE_SPREAD = 0.01
SMALLEST_TIME_SPREAD = 0.1
SMALLEST_DISTANCE_SPREAD = 0.003


@dataclass(frozen=True)
class Scale:
    """Values as they are. ``is_two_sided``: whether too little is as remarkable as too much. ``smallest``: the least spread."""

    smallest: float
    is_two_sided: bool = True

    def of(self, observed: Numbers, records: Numbers, noise: Numbers) -> Numbers:
        return observed

    def back(self, value: float, records: int) -> float:
        return value

    def chance(self, records: Numbers, noise: Numbers) -> Numbers:
        return np.zeros(len(records))

    def growth(self, centre: Numbers) -> Numbers:
        return np.ones(len(centre))

    def unseen(self, low: float, high: float) -> tuple[float, float]:
        """From the least to the most of less than a week, with what a weekend may bring that nobody has seen."""
        return low, high

    def rare(self, middle: float, records: int) -> float:
        """What chance alone exceeds about a middle (as observed) once in some 30,000 windows, exactly: of few records the scale knows it roughly only."""
        return -np.inf


@dataclass(frozen=True)
class Counts(Scale):
    """Twice the root of a count (Anscombe 1948): chance has variance 1 there, and a relative spread grows with the root."""

    smallest: float = SMALLEST_COUNT_SPREAD

    def of(self, observed: Numbers, records: Numbers, noise: Numbers) -> Numbers:
        return 2 * np.sqrt(observed + 0.375)

    def back(self, value: float, records: int) -> float:
        return max(0.0, max(value, 0.0) ** 2 / 4 - 0.375)

    def chance(self, records: Numbers, noise: Numbers) -> Numbers:
        return np.ones(len(records))

    def growth(self, centre: Numbers) -> Numbers:
        return np.maximum(centre**2 / 4 - 0.375, 0)

    def unseen(self, low: float, high: float) -> tuple[float, float]:
        """Half of the least to twice the most."""
        return low / np.sqrt(2), high * np.sqrt(2)

    def rare(self, middle: float, records: int) -> float:
        return float(np.ceil(pdtrik(1 - RARE, middle))) if middle > 0 else -np.inf


@dataclass(frozen=True)
class Shares(Scale):
    """Twice the arcsine of the root of a share (Anscombe 1948): chance has variance 1/records there."""

    smallest: float = SMALLEST_SHARE_SPREAD
    is_two_sided: bool = False

    def of(self, observed: Numbers, records: Numbers, noise: Numbers) -> Numbers:
        return 2 * np.arcsin(np.sqrt(np.clip((observed * records + 0.375) / (records + 0.75), 0, 1)))

    def back(self, value: float, records: int) -> float:
        share = ((records + 0.75) * np.sin(min(max(value, 0.0), np.pi) / 2) ** 2 - 0.375) / max(records, 1)
        return float(min(max(share, 0.0), 1.0))

    def chance(self, records: Numbers, noise: Numbers) -> Numbers:
        return 1 / (records + 0.5)

    def rare(self, middle: float, records: int) -> float:
        return float(np.ceil(bdtrik(1 - RARE, records, middle))) / records if 0 < middle < 1 and records else -np.inf


@dataclass(frozen=True)
class Times(Scale):
    """Seconds, linear about zero and by their logarithm beyond a few; chance as the order statistics beside the quantile tell."""

    smallest: float = SMALLEST_TIME_SPREAD

    def of(self, observed: Numbers, records: Numbers, noise: Numbers) -> Numbers:
        return np.arcsinh(observed)

    def back(self, value: float, records: int) -> float:
        return float(np.sinh(min(max(value, -40.0), 40.0)))

    def chance(self, records: Numbers, noise: Numbers) -> Numbers:
        return noise**2


@dataclass(frozen=True)
class Distances(Scale):
    """Divergence from history without what chance alone gives of it (``noise``)."""

    smallest: float = SMALLEST_DISTANCE_SPREAD
    is_two_sided: bool = False

    def of(self, observed: Numbers, records: Numbers, noise: Numbers) -> Numbers:
        return observed - noise
