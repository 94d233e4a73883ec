"""Measures of how well labels can be predicted from fixed vectors of texts, without training a Transformer.

``vectors`` are float, one row for each text. *Shape:* ``(n_texts, dim)``. ``labels`` has a label for each row.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.baselines.classification import logistic_regression_on_means

Floats = NDArray[np.floating]

MAX_STEPS = 200        # of the fixed-point iteration of LogME
TOLERANCE = 1e-6       # relative change of the ratio alpha / beta at which it ends
TINY = 1e-12


def one_hot(labels: Sequence[str]) -> NDArray[np.float64]:
    """Encode labels as indicators. *Shape:* ``(n_texts, n_labels)``, float64."""
    names, numbers = np.unique(np.asarray(labels, dtype=object), return_inverse=True)
    return np.eye(len(names))[numbers]


def log_me(vectors: Floats, labels: Sequence[str]) -> float:
    """Compute LogME: the logarithm of the maximum evidence of a Bayesian linear regression, per text.

    The labels are regressed as indicators, one against the rest, and averaged (You et al. 2021, "LogME: Practical
    Assessment of Pre-trained Models for Transfer Learning").
    """
    n, dim = vectors.shape
    left, singular, _ = np.linalg.svd(np.asarray(vectors, np.float64), full_matrices=False)
    squared = singular**2                                                                   # (rank,)
    evidences = []
    for target in one_hot(labels).T:                                                        # (n,)
        projected = (left.T @ target) ** 2                                                  # (rank,)
        outside = max(float(target @ target - projected.sum()), 0.0)
        ratio = 1.0                                                                         # alpha / beta
        for _ in range(MAX_STEPS):
            effective = float((squared / (squared + ratio)).sum())
            norm, residual = _moments(squared, projected, outside, ratio)
            alpha, beta = effective / max(norm, TINY), (n - effective) / max(residual, TINY)
            before, ratio = ratio, min(max(alpha / beta, TINY), 1 / TINY)
            if abs(ratio - before) <= TOLERANCE * before:
                break
        norm, residual = _moments(squared, projected, outside, ratio)
        beta = n / (residual + ratio * norm)                                                # the best for this ratio
        alpha = ratio * beta
        evidence = (dim * math.log(alpha) + n * math.log(beta / (2 * math.pi)) - beta * residual - alpha * norm
                    - float(np.log(alpha + beta * squared).sum()) - (dim - len(squared)) * math.log(alpha)) / 2
        evidences.append(evidence / n)
    return float(np.mean(evidences))


def _moments(squared: Floats, projected: Floats, outside: float, ratio: float) -> tuple[float, float]:
    """Return the squared norm of the posterior mean of the weights, and the sum of the squared residuals."""
    norm = float((squared * projected / (squared + ratio) ** 2).sum())
    residual = float((projected * (ratio / (squared + ratio)) ** 2).sum()) + outside
    return norm, residual


def h_score(vectors: Floats, labels: Sequence[str]) -> float:
    """Compute the H-score with a shrinkage estimate of the covariance, per degree of freedom of the labels.

    H-score: Bao et al. 2019, "An Information-Theoretic Approach to Transferability in Task Transfer Learning".
    Shrinkage: Ledoit & Wolf 2004, applied by Ibrahim et al. 2022, "Newer is not always better".

    Returns:
        About 0 for vectors that are independent of the labels, at most 1.
    """
    from sklearn.covariance import ledoit_wolf

    centered = np.asarray(vectors, np.float64) - np.mean(vectors, axis=0, dtype=np.float64)  # (n, dim)
    covariance, shrinkage = ledoit_wolf(centered, assume_centered=True)
    indicators = one_hot(labels)                                                            # (n, n_labels)
    if indicators.shape[1] < 2 or not np.trace(covariance) > TINY:
        return 0.0
    means = (indicators.T @ centered) / indicators.sum(axis=0)[:, None]                     # (n_labels, dim)
    shares = indicators.mean(axis=0)
    between = (1 - shrinkage) * np.einsum("l,li,lj->ij", shares, means, means, optimize=True)
    explained = np.trace(np.linalg.pinv(covariance, hermitian=True) @ between)
    return float(explained) / float(indicators.shape[1] - 1)


def linear_accuracy(vectors: Floats, labels: Sequence[str], *, n_folds: int = 5, seed: int = 1) -> float:
    """Compute the accuracy of logistic regression in stratified cross-validation.

    A label that occurs once is predicted wrongly; if all do, or the vectors are all equal, the accuracy is that of the
    most frequent label.
    """
    from sklearn.model_selection import StratifiedKFold

    counts = Counter(labels)
    most = max(counts.values())
    if most < 2 or len(counts) < 2:
        return most / len(labels)
    given = np.asarray(labels, dtype=object)
    folds = StratifiedKFold(min(n_folds, most), shuffle=True, random_state=seed)
    correct = 0
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        divided = list(folds.split(vectors, np.unique(given, return_inverse=True)[1]))
    for train, test in divided:
        predicted = logistic_regression_on_means(vectors[train], list(given[train]), vectors[test])
        if predicted is None:
            return most / len(labels)
        correct += int((np.asarray(predicted, dtype=object) == given[test]).sum())
    return correct / len(labels)


def matching_accuracy(first: Floats, second: Floats) -> float:
    """Compute how often the vector of one half of a text is nearest to that of its other half; needs no labels.

    Args:
        first: vectors of the first halves, float. *Shape:* ``(n_texts, dim)``.
        second: vectors of the second halves, in the same order. *Shape:* ``(n_texts, dim)``.

    Returns:
        The share of the texts, 0 to 1, by the cosine after subtracting the mean; 0 for fewer than two texts.
    """
    if len(first) < 2:
        return 0.0
    mean = (first.mean(axis=0) + second.mean(axis=0)) / 2
    left, right = (half - mean for half in (first, second))
    left, right = (half / np.maximum(np.linalg.norm(half, axis=1, keepdims=True), TINY) for half in (left, right))
    similarity = left @ right.T                                                             # (n_texts, n_texts)
    best = similarity.max(axis=1)
    hits = (np.diag(similarity) >= best) & (np.isclose(similarity, best[:, None]).sum(axis=1) == 1)
    return float(hits.mean())
