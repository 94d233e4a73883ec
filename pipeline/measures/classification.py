"""Labels that were predicted beside the right ones, and how far the probabilities given with them can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Bin(NamedTuple):
    """A point of the reliability curve: the predictions that were about equally sure.

    Attributes:
        confidence: mean of their probabilities.
        accuracy: the share of them that is right.
        n: how many they are.
    """

    confidence: float
    accuracy: float
    n: int


def label_measures(gold: Sequence[str], guessed: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro-F1 over the labels that stand on either side, and the number of examples."""
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(gold, guessed)),
        "macro_f1": float(f1_score(gold, guessed, average="macro", zero_division=0)),
        "n": len(gold),
    }


def reliability_curve(confidences: ArrayLike, right: ArrayLike, *, n_bins: int = 15) -> list[Bin]:
    """Put predictions into bins of equal width by how sure they are (Guo et al. 2017, section 2).

    Args:
        confidences: the probability of each predicted label, 0 to 1. *Shape:* ``(n,)``.
        right: whether the label is the right one. *Shape:* ``(n,)``, bool.
        n_bins: bin ``i`` holds what is above ``i / n_bins``, up to ``(i + 1) / n_bins``.

    Returns:
        The bins that hold something, the least sure first.
    """
    sure, hit = np.asarray(confidences, dtype=np.float64), np.asarray(right, dtype=np.float64)
    number = np.searchsorted(np.linspace(0, 1, n_bins + 1)[1:-1], sure)
    n = np.bincount(number, minlength=n_bins)
    sums = (np.bincount(number, weights=values, minlength=n_bins) for values in (sure, hit))
    means = (total[n > 0] / n[n > 0] for total in sums)
    return [Bin(float(c), float(a), int(k)) for c, a, k in zip(*means, n[n > 0], strict=True)]


def expected_calibration_error(confidences: ArrayLike, right: ArrayLike, *, n_bins: int = 15) -> float:
    """How far off the probabilities are, 0 to 1: the mean of ``|accuracy - confidence|`` over the bins, by their size.

    Guo et al. 2017, equation 3. The arguments are those of :func:`reliability_curve`.
    """
    bins = reliability_curve(confidences, right, n_bins=n_bins)
    return sum(one.n * abs(one.accuracy - one.confidence) for one in bins) / max(sum(one.n for one in bins), 1)


def confusion_matrix(gold: Sequence[str], guessed: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """How often each label (row) was taken for each (column). *Shape:* ``(n_labels, n_labels)``, int64."""
    number = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(counts, ([number[label] for label in gold], [number[label] for label in guessed]), 1)
    return counts
