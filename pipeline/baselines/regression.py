"""Baselines for regression: the mean, ridge regression, and the cosine of mean vectors for pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def mean(values: Floats, n: int) -> Floats:
    """Return the mean of the training values, ``n`` times."""
    return np.full(n, values.mean())


def on_tfidf(train: Texts, values: Floats, test: Texts) -> Floats:
    """Predict values by ridge regression on TF-IDF of unigrams and bigrams."""
    words = tfidf_features().fit([text for part in train for text in part if text])
    known, new = (_features(words.transform(part.first), words.transform(part.second), pairs=any(train.second))
                  for part in (train, test))
    return _ridge(known, new, values)


def on_mean_vectors(
    vectors: Callable[[Sequence[str]], NDArray[np.float32]], train: Texts, values: Floats, test: Texts
) -> dict[str, Floats]:
    """Predict values by ridge regression on means of word vectors and, for pairs, by their cosine.

    The cosine is scaled by linear regression on the training pairs. Empty if all means are equal, as for a source
    without any of the words.
    """
    first, second = vectors(train.first), vectors(train.second)
    if not np.ptp(first, axis=0).any():
        return {}
    pairs = any(train.second)
    others = vectors(test.first), vectors(test.second)
    found = {"mean-vectors+ridge": _ridge(_features(first, second, pairs=pairs), _features(*others, pairs=pairs),
                                          values)}
    if pairs:
        slope, intercept = np.polyfit(_cosines(first, second), values, 1)
        found["cosine"] = slope * _cosines(*others) + intercept
    return found


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
