"""From records and a frozen model to scored pairs with evidence and to persons. The job of the linkage and its tests call it."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from batch.linkage.blocking import add_keys
from batch.linkage.clusters import Limits, average_linkage, components, no_limits, pairs_within
from batch.linkage.comparing import Compared, compare, open_linker
from batch.linkage.model import LARGEST_BLOCK, Model

LARGEST_COMPONENT = 500
ACCEPTED, REVIEW, REJECTED, UNDECIDED = "accepted", "review", "rejected", "undecided"


@dataclass(frozen=True)
class Linked:
    """``pairs``: those at least as probable as the threshold of review that nobody has decided on, with ``probability``, ``verdict`` and ``broken`` (number of
    the limit that forbids it, one more than the last: a decision, −1: none); ``person``: of each row; ``blocking_recall``: estimated share of matches that the keys let meet."""

    pairs: Compared
    probability: np.ndarray
    verdict: np.ndarray
    broken: np.ndarray
    person: np.ndarray
    candidates: int
    blocking_recall: float


def link(rows: pa.Table, model: Model, *, accept: float, review: float, limits: Limits | None = None) -> Linked:
    """Scores the pairs that meet, then every pair inside the components, and joins by average linkage."""
    limits = limits or no_limits(len(rows))
    keyed, keys = add_keys(rows, model.kinds, largest=LARGEST_BLOCK)
    linker = open_linker(keyed, model.settings_for(len(rows)))
    names = list(model.kinds)
    met = compare(linker, names, at_least=review / 10)
    probability, _ = model.mixture.probability(met, len(rows))
    joining = probability >= accept
    labels = components(len(rows), met.left[joining], met.right[joining])
    recall = blocking_recall(keyed, keys, (met.left[joining], met.right[joining]))
    inside = compare(linker, names, at_least=0, pairs=pairs_within(labels, largest=LARGEST_COMPONENT))
    inside_probability, _ = model.mixture.probability(inside, len(rows))
    person = average_linkage(labels, (inside.left, inside.right, inside_probability), limits, accept=accept, largest=LARGEST_COMPONENT)
    apart = labels[met.left] != labels[met.right]
    size = np.bincount(labels, minlength=len(rows))
    apart |= size[labels[met.left]] > LARGEST_COMPONENT
    pairs, probability = _both(met, probability, apart, inside, inside_probability)
    shown = ((probability >= review) | (person[pairs.left] == person[pairs.right])) & ~limits.part(pairs.left, pairs.right)
    pairs, probability = _where(pairs, shown), probability[shown]
    verdict, broken = _verdicts(pairs, probability, person, size[labels], limits, accept)
    return Linked(pairs, probability, verdict, broken, person, len(met), recall)


def _verdicts(
    pairs: Compared, probability: np.ndarray, person: np.ndarray, size: np.ndarray, limits: Limits, accept: float
) -> tuple[np.ndarray, np.ndarray]:
    """Joined: accepted. Against a limit or a decision: rejected, with it. In a component too large to join by itself: undecided. What is left waits for a review."""
    together = person[pairs.left] == person[pairs.right]
    held = np.zeros_like(limits.held)
    np.add.at(held, person, limits.held)
    groups = Limits(held, limits.caps)
    one, other = person[pairs.left], person[pairs.right]
    broken = groups.break_by(one, other)
    broken = np.where((broken < 0) & limits.part(one, other, group=person), len(limits.caps), broken)
    broken[together] = -1
    verdict = np.full(len(pairs), REVIEW, dtype=object)
    verdict[size[pairs.left] > LARGEST_COMPONENT] = UNDECIDED
    verdict[broken >= 0] = REJECTED
    verdict[together] = ACCEPTED
    return verdict, broken


def _both(met: Compared, of_met: np.ndarray, keep: np.ndarray, inside: Compared, of_inside: np.ndarray) -> tuple[Compared, np.ndarray]:
    first = _where(met, keep)
    parts = (np.concatenate([getattr(first, name), getattr(inside, name)]) for name in ("left", "right", "levels", "rarity"))
    return Compared(*parts), np.concatenate([of_met[keep], of_inside])


def _where(pairs: Compared, keep: np.ndarray) -> Compared:
    return Compared(pairs.left[keep], pairs.right[keep], pairs.levels[keep], pairs.rarity[keep])


def blocking_recall(rows: pa.Table, keys: list[str], pairs: tuple[np.ndarray, np.ndarray]) -> float:
    """Estimated share of matches that at least one key lets meet, from how many keys find each of those found (Chao 1987, a capture and recapture:
    f₁²/2f₂ are missed when f₁ are found by one key alone and f₂ by two). Keys that find the same matches make it an upper bound. 1 without matches."""
    if not len(pairs[0]):
        return 1.0
    found = np.zeros(len(pairs[0]), np.int64)
    for key in keys:
        code = pc.fill_null(pc.dictionary_encode(rows[key]).combine_chunks().indices, -1).to_numpy()
        found += (code[pairs[0]] >= 0) & (code[pairs[0]] == code[pairs[1]])
    once, twice = (found == 1).sum(), (found == 2).sum()
    missed = once * once / (2 * twice) if twice else once * (once - 1) / 2
    return float(len(found) / (len(found) + missed))
