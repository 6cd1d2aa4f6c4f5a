"""Three kinds of pairs: the same person, relatives (one household, different persons), strangers. How much each pattern of levels says for each kind.

Weights that know only matches and strangers join households: name, street and phone agree there for one reason, and count as three. So relatives are a kind of
their own: each attribute is like that of one person with a share that is learned, else like that of strangers. What belongs to a person alone (``PERSONAL``) may
be alike among relatives in few cases at most (a borrowed number, twins, father and son). In: levels; no labels. Training fits it, scoring asks it (ADR 0013).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from batch.linkage.comparing import Compared

PERSONAL = ("given_name", "birth_date", "national_id", "email")
HOUSEHOLD = ("surname", "street", "house_number", "postcode", "town", "phone")
MOST_ALIKE = 0.05
"""Largest share of relatives that agree on what is a person's own."""
ROUNDS, STILL = 300, 1e-7


@dataclass(frozen=True)
class Mixture:
    """``same`` and ``strangers``: probability of each level of each attribute (by number of the level); ``alike``: the share by attribute, of relatives;
    ``same_rate``, ``related_rate``: such pairs for each record, whatever the number of records."""

    kinds: tuple[str, ...]
    same: tuple[np.ndarray, ...]
    strangers: tuple[np.ndarray, ...]
    alike: np.ndarray
    same_rate: float
    related_rate: float

    def probability(self, pairs: Compared, records: int) -> tuple[np.ndarray, np.ndarray]:
        """That each pair is the same person, and that it is one of relatives, among so many records."""
        return _posterior(self, pairs.levels, pairs.rarity, records)


def start(kinds: Mapping[str, str], settings: Mapping[str, Any]) -> Mixture:
    """From the probabilities that Splink has learned."""
    same, strangers = [], []
    for one in settings["comparisons"]:
        levels = [level for level in one["comparison_levels"] if not level.get("is_null_level")][::-1]
        u = np.array([level.get("u_probability") or 1e-6 for level in levels])
        m = np.array([level.get("m_probability") or float(least) for level, least in zip(levels, u, strict=True)])
        same.append(m / m.sum())
        strangers.append(u / u.sum())
    alike = np.array([0.02 if kind in PERSONAL else 0.95 if kind in HOUSEHOLD else 0.5 for kind in kinds.values()])
    return Mixture(tuple(kinds.values()), tuple(same), tuple(strangers), alike, same_rate=0.3, related_rate=0.1)


def fit(mixture: Mixture, pairs: Compared, records: int) -> Mixture:
    """Expectation maximisation over all pairs of records; those that are not among ``pairs`` count as strangers. Strangers stay as they are."""
    patterns, of, counts = np.unique(pairs.levels, axis=0, return_inverse=True, return_counts=True)
    rarity = np.column_stack([np.bincount(of.ravel(), weights=column) / counts for column in pairs.rarity.T]) if len(counts) else pairs.rarity
    for _ in range(ROUNDS):
        same, related = (share * counts for share in _posterior(mixture, patterns, rarity, records))
        before = mixture.same_rate, mixture.related_rate
        mixture = _maximised(mixture, patterns, same, related, records)
        if np.allclose(before, (mixture.same_rate, mixture.related_rate), rtol=STILL, atol=0):
            break
    return mixture


def _maximised(mixture: Mixture, patterns: np.ndarray, same: np.ndarray, related: np.ndarray, records: int) -> Mixture:
    learned, alike = [], mixture.alike.copy()
    for number, (m, u) in enumerate(zip(mixture.same, mixture.strangers, strict=True)):
        level = patterns[:, number]
        seen = level >= 0
        count = np.bincount(level[seen], weights=same[seen], minlength=len(m)) + u
        learned.append(count / count.sum())
        m_here, u_here = m[level[seen]] * alike[number], u[level[seen]] * (1 - alike[number])
        weight = related[seen]
        share = (weight * m_here / (m_here + u_here)).sum() / max(weight.sum(), 1e-9)
        alike[number] = np.clip(share, 1e-3, MOST_ALIKE if mixture.kinds[number] in PERSONAL else 1 - 1e-3)
    return replace(mixture, same=tuple(learned), alike=alike, same_rate=max(same.sum(), 1e-3) / records, related_rate=max(related.sum(), 1e-3) / records)


def _posterior(mixture: Mixture, levels: np.ndarray, rarity: np.ndarray, records: int) -> tuple[np.ndarray, np.ndarray]:
    pairs = max(records * (records - 1) / 2, 1)
    prior_same, prior_related = (min(rate * records / pairs, 0.4) for rate in (mixture.same_rate, mixture.related_rate))
    same, related = np.full(len(levels), np.log(prior_same)), np.full(len(levels), np.log(prior_related))
    strangers = np.full(len(levels), np.log(1 - prior_same - prior_related))
    for number, (m, u) in enumerate(zip(mixture.same, mixture.strangers, strict=True)):
        level, alike = levels[:, number], mixture.alike[number]
        known = level >= 0
        by_chance, if_same = u[level] * np.exp(-rarity[:, number]), m[level]
        same += np.where(known, np.log(if_same), 0)
        strangers += np.where(known, np.log(by_chance), 0)
        related += np.where(known, np.log(alike * if_same + (1 - alike) * by_chance), 0)
    highest = np.maximum(np.maximum(same, related), strangers)
    a, b, c = (np.exp(score - highest) for score in (same, related, strangers))
    return a / (a + b + c), b / (a + b + c)
