"""Sparsemax, a sparse alternative to softmax."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def sparsemax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Project each row onto the probability simplex (Martins & Astudillo 2016, arXiv 1602.02068, algorithm 1).

    Args:
        scores: at least one column. *Shape:* ``(n_rows, n)``.

    Returns:
        Weights of at least 0 whose sum is 1 in each row, float64. *Shape:* ``(n_rows, n)``.
    """
    ordered = -np.sort(-scores, axis=1)                                  # (n_rows, n), descending
    excess = ordered.cumsum(axis=1) - 1
    counts = np.arange(1, scores.shape[1] + 1)
    support = (counts * ordered > excess).sum(axis=1, keepdims=True)     # (n_rows, 1)
    threshold = np.take_along_axis(excess, support - 1, axis=1) / support
    weights: NDArray[np.float64] = np.maximum(scores - threshold, 0)
    return weights
