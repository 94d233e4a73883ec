"""Measures of regression: correlations and the mean squared error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def regression_measures(gold: ArrayLike, predicted: ArrayLike) -> dict[str, Any]:
    """Compute ``pearson``, ``spearman``, ``mse`` and ``n``.

    A correlation is 0 where it is undefined: if all gold values or all predictions are equal.

    Args:
        gold: the true values. *Shape:* ``(n,)``.
        predicted: the predictions. *Shape:* ``(n,)``.
    """
    from scipy.stats import pearsonr, spearmanr

    true, found = np.asarray(gold, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    defined = len(true) > 1 and np.ptp(true) > 0 and np.ptp(found) > 0
    return {
        "pearson": float(pearsonr(true, found).statistic) if defined else 0.0,
        "spearman": float(spearmanr(true, found).statistic) if defined else 0.0,
        "mse": float(np.mean((true - found) ** 2)),
        "n": len(true),
    }
