"""Measures of classification: accuracy, macro-F1 and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Bin(NamedTuple):
    """A point of the reliability diagram: the predictions with similar probabilities.

    Attributes:
        confidence: mean probability.
        accuracy: share of correct predictions.
        n: number of predictions.
    """

    confidence: float
    accuracy: float
    n: int


def label_measures(gold: Sequence[str], predicted: Sequence[str]) -> dict[str, Any]:
    """Compute accuracy, macro-F1 over the gold and predicted labels, and the number of examples."""
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(gold, predicted)),
        "macro_f1": float(f1_score(gold, predicted, average="macro", zero_division=0)),
        "n": len(gold),
    }


def reliability_curve(confidences: ArrayLike, right: ArrayLike, *, n_bins: int = 15) -> list[Bin]:
    """Group predictions into bins of equal width by probability (Guo et al. 2017, section 2).

    Args:
        confidences: probability of each predicted label, 0 to 1. *Shape:* ``(n,)``.
        right: whether the label is correct. *Shape:* ``(n,)``, bool.
        n_bins: number of bins; bin ``i`` has the probabilities above ``i / n_bins``, up to ``(i + 1) / n_bins``.

    Returns:
        The non-empty bins in order of probability.
    """
    confidence, hit = np.asarray(confidences, dtype=np.float64), np.asarray(right, dtype=np.float64)
    number = np.searchsorted(np.linspace(0, 1, n_bins + 1)[1:-1], confidence)
    n = np.bincount(number, minlength=n_bins)
    sums = (np.bincount(number, weights=values, minlength=n_bins) for values in (confidence, hit))
    means = (total[n > 0] / n[n > 0] for total in sums)
    return [Bin(float(c), float(a), int(k)) for c, a, k in zip(*means, n[n > 0], strict=True)]


def expected_calibration_error(confidences: ArrayLike, right: ArrayLike, *, n_bins: int = 15) -> float:
    """Compute the expected calibration error (Guo et al. 2017, equation 3), 0 to 1.

    It is the mean of ``|accuracy - confidence|`` over bins, weighted by their size. Arguments: see
    :func:`reliability_curve`.
    """
    bins = reliability_curve(confidences, right, n_bins=n_bins)
    return sum(one.n * abs(one.accuracy - one.confidence) for one in bins) / max(sum(one.n for one in bins), 1)


def confusion_matrix(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """Count gold labels (rows) by predicted label (columns). *Shape:* ``(n_labels, n_labels)``, int64."""
    number = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts, ([number[label] for label in gold], [number[label] for label in predicted]), 1)
    return counts
