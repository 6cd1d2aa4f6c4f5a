"""How well found persons agree with true ones: pairwise, B-cubed, largest person. In: two numbers a row."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Agreement:
    precision: float
    recall: float
    b3_precision: float
    b3_recall: float
    largest: int
    largest_true: int

    @property
    def f1(self) -> float:
        return _harmonic(self.precision, self.recall)

    def __str__(self) -> str:
        pairwise = f"pairwise P {self.precision:.4f} R {self.recall:.4f} F1 {self.f1:.4f}"
        b_cubed = f"B-cubed P {self.b3_precision:.4f} R {self.b3_recall:.4f} F1 {_harmonic(self.b3_precision, self.b3_recall):.4f}"
        return f"{pairwise}, {b_cubed}, largest person {self.largest} (true {self.largest_true})"


def agreement(found: np.ndarray, truth: np.ndarray) -> Agreement:
    _, both = np.unique(np.column_stack([found, truth]), axis=0, return_inverse=True)
    joint, mine, true = (np.bincount(np.unique(labels, return_inverse=True)[1]) for labels in (both.ravel(), found, truth))
    size = {name: np.bincount(codes)[codes] for name, codes in (("joint", both.ravel()), ("mine", _codes(found)), ("true", _codes(truth)))}
    right = _pairs(joint)
    return Agreement(
        right / max(_pairs(mine), 1), right / max(_pairs(true), 1), float((size["joint"] / size["mine"]).mean()), float((size["joint"] / size["true"]).mean()),
        int(mine.max()), int(true.max()),
    )  # fmt: skip


def _codes(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_inverse=True)[1]


def _pairs(sizes: np.ndarray) -> int:
    return int((sizes * (sizes - 1) // 2).sum())


def _harmonic(one: float, other: float) -> float:
    return 2 * one * other / (one + other) if one + other else 0.0
