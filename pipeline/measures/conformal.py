"""Split conformal prediction: sets of labels that contain the correct one at a stated rate.

The sets are the least ambiguous ones with bounded error levels (LAC: Sadinle, Lei and Wasserman 2019): all labels whose
probability is above a threshold. The threshold is the quantile of section 1 of Angelopoulos and Bates (2021), "A Gentle
Introduction to Conformal Prediction". If new examples and those of the calibration set are exchangeable, the
probability that the gold label is not in the set is at most the stated rate, and at least that rate minus
``1 / (n + 1)`` if no two scores are equal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Probability = TypeVar("Probability", float, NDArray[np.float64])

ROUNDING = 1e-9  # of (n + 1)(1 - rate), which is often a whole number


def nonconformity(probability: Probability) -> Probability:
    """Return the score of a label, or of each in an array: 1 minus its probability."""
    return 1.0 - probability


def conformal_quantile(scores: ArrayLike, rate: float) -> float:
    """Return the greatest score of a label that belongs to the set.

    Args:
        scores: nonconformity of the gold label of each calibration example. *Shape:* ``(n,)``.
        rate: error rate, between 0 and 1.

    Returns:
        The ``ceil((n + 1)(1 - rate))``-th smallest score; infinity, which puts all labels into the set, if there are
        fewer scores.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    k = math.ceil((len(ordered) + 1) * (1 - rate) - ROUNDING)
    return float(ordered[k - 1]) if k <= len(ordered) else math.inf


def smallest_rate(n: int) -> float:
    """Return the smallest error rate that ``n`` calibration examples can guarantee."""
    return 1 / (n + 1)


def prediction_set(probabilities: Mapping[str, float], quantile: float) -> list[str]:
    """Return the labels whose score is at most the quantile, the most probable first."""
    ordered = sorted(probabilities, key=lambda label: -probabilities[label])
    return [label for label in ordered if nonconformity(probabilities[label]) <= quantile]


def set_measures(gold: Sequence[str], sets: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Compute how often sets miss the gold label and how many examples are answered.

    Args:
        gold: the label of each example.
        sets: the prediction set of each example.

    Returns:
        ``error_rate``, the share of examples whose gold label is not in the set; ``answered``, the share with exactly
        one label in the set; ``answered_error_rate``, the share of these that are wrong; and ``set_size``, the mean
        number of labels.
    """
    missed = np.array([label not in labels for label, labels in zip(gold, sets, strict=True)])
    sizes = np.array([len(labels) for labels in sets])
    answered = sizes == 1
    return {
        "error_rate": float(missed.mean()),
        "answered": float(answered.mean()),
        "answered_error_rate": float(missed[answered].mean()) if answered.any() else 0.0,
        "set_size": float(sizes.mean()),
    }
