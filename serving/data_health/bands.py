"""The band a value is expected in, from the values of earlier windows: robust, by hour of the week where that tells more than all windows do, by hour of the day
while there are too few weeks, by all of them while there are too few days. judging.py calls it.

How: each earlier value is compared with the median of the others of its hour (left out itself), on the measure's scale; the spread is what makes half of these
differences smaller than 0.6745 of it, chance of each allowed for. So an outlier in ten does not widen it, and it is that of a forecast, not of a fit.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.stats import t

from serving.data_health.scales import RARE, Scale

ENOUGH = 24
"""Windows without which nothing is expected."""
WEEK, DAY, HOUR = 604_800, 86_400, 3_600
_QUARTILE = 0.6745**2
_EFFICIENCY = 0.37
"""Of the median of absolute differences, beside the standard deviation: so many of the windows count for how well the spread is known."""
_COMPARED = (0.5, 0.975)
"""Quantiles of the differences by which two middles are compared: half of the windows, and all but a few, for a weekend is two days of seven."""
_OF_WEEK, _OF_DAY = 3, 5
"""Values of the same hour of a week, or of a day, from which on they are taken."""


class Past(NamedTuple):
    """Earlier windows in order: start in seconds, and what was found."""

    starts: np.ndarray
    observed: np.ndarray
    records: np.ndarray
    noise: np.ndarray


class Band(NamedTuple):
    """``low`` ≤ expected ≤ ``high``; ``windows`` it was learned from, and ``by`` which of them: hour_of_week, hour_of_day or all."""

    low: float
    high: float
    windows: int
    by: str


class _Level(NamedTuple):
    """Where the middle lies, and the differences of earlier values from theirs with their own middles."""

    low: float
    high: float
    differences: np.ndarray
    middles: np.ndarray
    rows: np.ndarray
    by: str


def band_of(past: Past, scale: Scale, *, start: int, records: int, noise: float, allowance: float = 0.0) -> Band | None:
    """The band of a window that starts at ``start`` (seconds) and stands on so many records; None while there are fewer than ``ENOUGH``. ``allowance``: what chance
    may add at the high end beyond the scale's own."""
    if len(past.starts) < ENOUGH:
        return None
    values = scale.of(past.observed, past.records, past.noise)
    hourly = _by_week(past, values, start)
    level = _plainer(hourly, values, scale, past) if hourly else _by_day(past, values, start) or _by_all(past, values, scale)
    spread = _spread(level, scale, past)
    reach = _reach(len(level.rows))
    chance = float(scale.chance(np.array([records]), np.array([noise]))[0])
    lowest, highest = (_end(level.low, -reach, scale, spread, chance), _end(level.high, reach, scale, spread, chance))
    low = scale.back(lowest, records) if scale.is_two_sided else 0.0
    high = max(scale.back(highest, records), scale.rare(scale.back(level.high, records), records))
    return Band(low, high + allowance, len(past.starts), level.by)


def _end(middle: float, reach: float, scale: Scale, spread: float, chance: float) -> float:
    """So many spreads from the middle, each as large as it is at the end itself: half as much of what varies by a tenth is as far from it as twice as much."""
    end = middle
    for _ in range(8):
        growth = float(scale.growth(np.array([end]))[0])
        end = min(middle + reach * float(np.sqrt(chance + spread**2 * growth)), 20 * abs(middle) + 100)
    return end


def _by_week(past: Past, values: np.ndarray, start: int) -> _Level | None:
    cells, cell = past.starts % WEEK // HOUR, start % WEEK // HOUR
    if np.count_nonzero(cells == cell) < _OF_WEEK:
        return None
    rows, middles = _others(cells, values, _OF_WEEK)
    if len(rows) < ENOUGH:
        return None
    middle = float(np.median(values[cells == cell]))
    return _Level(middle, middle, values[rows] - middles, middles, rows, "hour_of_week")


def _plainer(hourly: _Level, values: np.ndarray, scale: Scale, past: Past) -> _Level:
    """The median of all windows, where those of the hours of the week tell no more: hundreds of windows know it better than four. What recurs at an hour stays in the
    band: it reaches from one median to the other."""
    middle = float(np.median(values))
    plain = _Level(min(middle, hourly.low), max(middle, hourly.high), values - middle, np.full(len(values), middle), np.arange(len(values)), "all")
    sizes = [np.quantile(np.abs(_standard(level, scale, past)), _COMPARED) for level in (plain, hourly)]
    return plain if (sizes[0] <= sizes[1]).all() else hourly


def _standard(level: _Level, scale: Scale, past: Past) -> np.ndarray:
    """Differences beside what chance, and the smallest spread that is believed, make of them."""
    chance = scale.chance(past.records[level.rows], past.noise[level.rows])
    return level.differences / np.sqrt(chance + scale.smallest**2 * scale.growth(level.middles) + 1e-12)


def _by_day(past: Past, values: np.ndarray, start: int) -> _Level | None:
    """A weekend is in the band, for it is one of the days that were seen: from the least to the most of them."""
    cells, cell = past.starts % DAY // HOUR, start % DAY // HOUR
    same = values[cells == cell]
    if len(same) < _OF_DAY or start - int(past.starts[0]) < WEEK:
        return None
    rows, middles = _others(cells, values, _OF_DAY)
    if len(rows) < ENOUGH:
        return None
    return _Level(float(same.min()), float(same.max()), values[rows] - middles, middles, rows, "hour_of_day")


def _by_all(past: Past, values: np.ndarray, scale: Scale) -> _Level:
    """From the least to the most of all but the outermost one of a day at each end (the window in which the log begins is never whole); how far a value lies from the
    one before says how steady they are, whatever the hour."""
    middles, ordered, left = (values[1:] + values[:-1]) / 2, np.sort(values), max(1, len(values) // ENOUGH)
    low, high = float(ordered[left]), float(ordered[-1 - left])
    if past.starts[-1] - past.starts[0] < WEEK:
        low, high = scale.unseen(low, high)
    return _Level(low, high, np.diff(values) / np.sqrt(2), middles, np.arange(1, len(values)), "all")


def _others(cells: np.ndarray, values: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose cell has at least so many values, and for each the median of the others there."""
    order = np.lexsort((values, cells))
    ordered, sizes = values[order], np.unique(cells, return_counts=True)[1]
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    size, place = np.repeat(sizes, sizes), np.arange(len(values)) - first
    lower, upper = (size - 2) // 2, (size - 1) // 2
    usable = size >= least
    lower, upper = (first + lower + (lower >= place))[usable], (first + upper + (upper >= place))[usable]
    return order[usable], (ordered[lower] + ordered[upper]) / 2


def _spread(level: _Level, scale: Scale, past: Past) -> float:
    """Half of the differences are smaller than 0.6745 of it and of their own chance together: of each the spread at which it would be just so, then their median."""
    chance = scale.chance(past.records[level.rows], past.noise[level.rows])
    growth = np.maximum(scale.growth(level.middles), 1e-9)
    return float(np.sqrt(max(np.median((level.differences**2 / _QUARTILE - chance) / growth), scale.smallest**2)))


@lru_cache(4096)
def _reach(windows: int) -> float:
    """In spreads: further while the spread itself is known from few windows (Student's t)."""
    return float(t.isf(RARE, max(4.0, _EFFICIENCY * windows)))
