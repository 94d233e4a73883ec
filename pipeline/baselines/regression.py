"""Baselines for regression: the mean, ridge regression, and the cosine of mean vectors for pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.baselines.linear import tfidf_features

Floats = NDArray[np.float64]


class Texts(NamedTuple):
    """Texts or pairs of texts.

    Attributes:
        first: the texts, or the first texts of pairs.
        second: the second texts; "" for single texts.
    """

    first: Sequence[str]
    second: Sequence[str]


class Means(NamedTuple):
    """Mean vectors of texts or of pairs of texts.

    Attributes:
        first: those of the texts, or of the first texts of pairs. *Shape:* ``(n, dim)``.
        second: those of the second texts; zeros for single texts. *Shape:* ``(n, dim)``.
    """

    first: NDArray[np.float32]
    second: NDArray[np.float32]


def mean(values: Floats, n: int) -> Floats:
    """Return the mean of the training values, ``n`` times."""
    return np.full(n, values.mean())


def ridge_on_tfidf(train: Texts, values: Floats, test: Texts) -> Floats:
    """Predict values by ridge regression on TF-IDF of unigrams and bigrams."""
    words = tfidf_features().fit([text for part in train for text in part if text])
    known, new = (_features(*(words.transform(texts) for texts in part), pairs=any(train.second))
                  for part in (train, test))
    return _ridge(known, new, values)


def ridge_on_means(train: Means, values: Floats, test: Means) -> Floats | None:
    """Predict values by ridge regression on means of word vectors.

    Args:
        train: mean vectors of the training texts.
        values: values of the training texts. *Shape:* ``(n,)``.
        test: mean vectors of the test texts.

    Returns:
        The predictions; None if all means are equal, as for a source without any of the words.
    """
    if not np.ptp(train.first, axis=0).any():
        return None
    known, new = (_features(*part, pairs=bool(train.second.any())) for part in (train, test))
    return _ridge(known, new, values)


def cosine(train: Means, values: Floats, test: Means) -> Floats | None:
    """Predict values of pairs from the cosine of their mean vectors, by linear regression on the training pairs.

    Arguments: see :func:`ridge_on_means`.

    Returns:
        The predictions; None for single texts, and if all cosines are equal.
    """
    known = _cosines(*train)
    if not train.second.any() or not np.ptp(known):
        return None
    slope, intercept = np.polyfit(known, values, 1)
    return np.asarray(slope * _cosines(*test) + intercept)


def _features(first: Any, second: Any, *, pairs: bool) -> Any:
    """Return the features of texts; of pairs, the absolute difference and the product of both texts' features."""
    from scipy import sparse

    if not pairs:
        return first
    if sparse.issparse(first):
        return sparse.hstack([abs(first - second), first.multiply(second)]).tocsr()
    return np.hstack([np.abs(first - second), first * second])


def _ridge(train: Any, test: Any, values: Floats) -> Floats:
    from sklearn.linear_model import Ridge
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        return np.asarray(Ridge(alpha=1.0).fit(train, values).predict(test), dtype=np.float64)


def _cosines(first: NDArray[np.float32], second: NDArray[np.float32]) -> Floats:
    from sklearn.preprocessing import normalize

    return np.asarray((normalize(first) * normalize(second)).sum(axis=1), dtype=np.float64)
