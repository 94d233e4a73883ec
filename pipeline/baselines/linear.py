"""Logistic regression and TF-IDF with scikit-learn, baselines of several tasks."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any

from embeddings.tokenization.ngrams import WORD_PATTERN
from pipeline.baselines.selection import require_memory

log = logging.getLogger("vecformer")


COPIES = 30       # copies of the coefficients that L-BFGS holds: 10 steps, 10 gradients, and working memory
ROWS_OF_SCORES = 3  # copies of the scores of all training examples: the scores, their softmax and the gradient
FLOAT64 = 8
SAGA: dict[str, Any] = {"solver": "saga", "tol": 5e-3, "max_iter": 1000}
"""Settings for many features: several times faster than L-BFGS, at a loss within a few per cent of the minimum."""
LIBLINEAR: dict[str, Any] = {"solver": "liblinear", "dual": True, "tol": 1e-2, "max_iter": 1000}
"""Settings for many features and two labels: dual coordinate descent, five times faster than the primal problem."""


def logistic_regression(
    train: Any, labels: Sequence[str], test: Any, *, features: Any, max_gb: float = math.inf, **settings: Any
) -> list[str]:
    """Predict labels by logistic regression.

    BLAS is limited to one thread, because synchronising threads takes longer than the small matrix products.

    Args:
        train: training examples, as ``features`` accepts them.
        labels: one label for each training example.
        test: test examples.
        features: scikit-learn transformer that converts examples to vectors.
        max_gb: limit of the memory of the fit, in GB.
        settings: arguments of :class:`sklearn.linear_model.LogisticRegression`.

    Raises:
        TooLargeError: if the fit would need more memory than ``max_gb``.
        ValueError: raised by scikit-learn, for example if all training examples have the same label.
    """
    with fitting():
        vectors = features.fit_transform(train, labels)
        require_fit_memory(vectors, len(set(labels)), len(test), max_gb)
        model = fitted(vectors, labels, **settings)
        return list(map(str, model.predict(features.transform(test))))


class _Fitting:
    """The state of :func:`fitting`, which is that of the whole process: the first fit sets it, the last restores it."""

    def __init__(self) -> None:
        self.lock, self.n_fits, self.restore = Lock(), 0, ExitStack()

    def enter(self) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        with self.lock:
            self.n_fits += 1
            if self.n_fits == 1:
                self.restore.enter_context(threadpool_limits(1, user_api="blas"))
                self.restore.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore", ConvergenceWarning)
                warnings.filterwarnings("ignore", message="The number of unique classes")  # rare labels

    def leave(self) -> None:
        with self.lock:
            self.n_fits -= 1
            if not self.n_fits:
                self.restore.close()


_FITTING = _Fitting()


@contextmanager
def fitting() -> Iterator[None]:
    """Limit BLAS to one thread and hide scikit-learn's warnings, of which :func:`fitted` logs one.

    Both apply to the whole process, also while fits in several threads overlap.
    """
    _FITTING.enter()
    try:
        yield
    finally:
        _FITTING.leave()


def fitted(vectors: Any, labels: Any, *, sample_weight: Any = None, **settings: Any) -> Any:
    """Fit a logistic regression; log it if the fit has not converged."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(**settings).fit(vectors, labels, sample_weight)
    if int(model.n_iter_.max()) >= model.max_iter:
        log.warning("the logistic regression of a baseline has not converged after %d iterations", model.max_iter)
    return model


def tfidf_features() -> Any:
    """Return a transformer that converts texts to TF-IDF of unigrams and bigrams."""
    from pipeline.baselines.ngram_features import NgramTfidf

    return NgramTfidf()


def frequent_tfidf_features(min_df: int) -> Any:
    """Return a transformer that converts texts to TF-IDF of unigrams and bigrams that occur in ``min_df`` texts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), min_df=min_df, sublinear_tf=True, token_pattern=WORD_PATTERN)


def tfidf_chars_features() -> Any:
    """Return a transformer that converts texts to TF-IDF of n-grams of words and of characters within words.

    The features are those of the n-gram branch with its default lengths.
    """
    from pipeline.baselines.ngram_features import NgramTfidf

    return NgramTfidf(characters=(2, 5))


def require_fit_memory(vectors: Any, n_labels: int, n_test: int, max_gb: float) -> None:
    """Require that the estimate of the memory of a fit and of its predictions is within the limit."""
    n_train, n_features = vectors.shape
    n_rows = 1 if n_labels == 2 else n_labels
    coefficients = COPIES * n_rows * (n_features + 1)
    scores = max(ROWS_OF_SCORES * n_train, n_test) * n_rows
    require_memory(FLOAT64 * (coefficients + scores), f"{n_labels:,} labels, {n_features:,} features, {n_train:,} "
                   "training examples", max_gb)
