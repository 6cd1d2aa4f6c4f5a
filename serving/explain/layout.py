"""Places for the nodes of a small graph, so that their distances in the plane are those along the edges: stress majorisation (Gansner, Koren, North 2004).

The same graph gives the same places: it starts from classical scaling, not from chance. drawing.py calls it.
"""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import shortest_path

STEPS = 250
CROWDED = 6.5
"""Links of a node from which on its edges get longer, with the square root of the number, so that what is around it finds room."""


def places(count: int, edges: Sequence[tuple[int, int]]) -> np.ndarray:
    """A place for each of ``count`` nodes, an edge about one long, the longer side of the picture across. Parts that no edge joins lie side by side."""
    if count == 1:
        return np.zeros((1, 2))
    wanted = _distances(count, edges)
    weight = 1 / np.where(wanted > 0, wanted, 1) ** 2
    np.fill_diagonal(weight, 0)
    laplacian = np.diag(weight.sum(axis=1)) - weight
    inverse = np.linalg.pinv(laplacian)
    at = _scaled(wanted)
    for _ in range(STEPS):
        apart = np.linalg.norm(at[:, None] - at[None], axis=2)
        pull = -weight * wanted / np.where(apart > 1e-9, apart, 1e-9)
        np.fill_diagonal(pull, 0)
        np.fill_diagonal(pull, -pull.sum(axis=1))
        at = inverse @ (pull @ at)
    at = at - at.mean(axis=0)
    _, _, axes = np.linalg.svd(at, full_matrices=False)
    return at @ axes.T


def _distances(count: int, edges: Sequence[tuple[int, int]]) -> np.ndarray:
    left, right = np.array(edges, np.int64).reshape(-1, 2).T
    links = np.bincount(np.r_[left, right], minlength=count)
    length = np.maximum(1, np.sqrt(np.maximum(links[left], links[right]) / CROWDED))
    found = shortest_path(csr_matrix((np.r_[length, length], (np.r_[left, right], np.r_[right, left])), shape=(count, count)), directed=False)
    return np.where(np.isfinite(found), found, found[np.isfinite(found)].max() + 1.5)


def _scaled(wanted: np.ndarray) -> np.ndarray:
    """Classical multidimensional scaling, and a little of a fixed pattern so that no two start at one place."""
    count = len(wanted)
    centre = np.eye(count) - 1 / count
    values, vectors = np.linalg.eigh(-0.5 * centre @ wanted**2 @ centre)
    signs = np.where(vectors[np.abs(vectors).argmax(axis=0), np.arange(count)] < 0, -1, 1)
    found = (vectors * signs * np.sqrt(np.maximum(values, 0)))[:, [-1, -2]]
    turn = np.arange(count) * 2.399963  # the golden angle: spread evenly
    return found + 0.05 * np.c_[np.cos(turn), np.sin(turn)]


def spread(at: np.ndarray, *, width: float, height: float) -> np.ndarray:
    """Places pushed apart until their boxes of this size hardly overlap."""
    at = at.copy()
    for _ in range(200):
        gap = at[:, None] - at[None]
        overlap = np.maximum(0, 1 - np.abs(gap) / (width, height)).min(axis=2)
        np.fill_diagonal(overlap, 0)
        if overlap.max() < 0.02:
            break
        across = np.linalg.norm(gap, axis=2, keepdims=True)
        at = at + 0.5 * (overlap[:, :, None] * gap / np.where(across > 1e-9, across, 1) * height).sum(axis=1) / 2
    return at
